// Forwards what comes to one address to the server at another, with the
// server's key: node with-key.mjs LISTEN SERVER KEY_FILE
import { readFileSync } from 'node:fs'
import http from 'node:http'

const [listen, server, keyFile] = process.argv.slice(2)

http.createServer((request, answer) => {
	let key
	try {
		key = readFileSync(keyFile, 'utf8').trim()
	} catch {
		answer.writeHead(503).end() // the server has not started yet
		return
	}
	const headers = { ...request.headers, authorization: `Bearer ${key}` }
	const forwarded = http.request(server + request.url, { method: request.method, headers }, (from) => {
		answer.writeHead(from.statusCode, from.headers)
		from.pipe(answer)
	})
	forwarded.on('error', () => answer.destroy())
	answer.on('close', () => forwarded.destroy())
	request.pipe(forwarded)
}).listen(new URL(listen).port, '127.0.0.1')
