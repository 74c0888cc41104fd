// Makes one call with the official client and its defaults, tells how it ended, and
// makes it again when a line comes on standard input. One JSON object a line.
import { createInterface } from "node:readline";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { ElicitRequestSchema } from "@modelcontextprotocol/sdk/types.js";

const { transport, command, args, url, headers, tool, progress, asks } = JSON.parse(process.argv[2]);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

const client = new Client({ name: "test", version: "1" }, { capabilities: asks ? { elicitation: {} } : {} });
let decide;
const decision = new Promise((resolve) => { decide = resolve; });
if (asks) {
  client.setRequestHandler(ElicitRequestSchema, async () => {
    await decision;
    return { action: "accept", content: { approve: true } };
  });
}
await client.connect(transport === "stdio"
  ? new StdioClientTransport({ command, args, env: process.env })
  : new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }));

for (let call = 0; call < 2; call++) {
  const heard = [];
  const options = progress ? { onprogress: (p) => heard.push(p.message), resetTimeoutOnProgress: true } : undefined;
  const began = Date.now();
  let answer;
  try {
    const result = await client.callTool(tool, undefined, options);
    answer = { text: result.content[0].text, isError: result.isError === true };
  } catch (error) {
    answer = { thrown: String(error) };
  }
  console.log(JSON.stringify({ ...answer, seconds: (Date.now() - began) / 1000, heard }));
  if (call === 0) {
    await lines.next();
    decide();
  }
}
await client.close();
process.exit(0);
