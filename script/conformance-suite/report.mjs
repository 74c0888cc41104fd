// Tells how a run of the suite went: report.mjs REVISION RESULTS, where RESULTS is
// the folder that the suite wrote to, with its standard output as "output". The
// exit code is 1 if a scenario failed that is not one of a protocol extension.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const [revision, results] = process.argv.slice(2);
const output = readFileSync(join(results, 'output'), 'utf8');
const [, summary = '', unscored = ''] = output.split(/^=== SUMMARY ===$|^Not scored for .*$/m);

const outcomes = (text, pattern) => new Map([...text.matchAll(pattern)].map(([, mark, ...rest]) => [rest[0], { passed: mark === '✓', reason: rest[1] }]));
const all = outcomes(summary, /^([✓✗]) ([^:\s]+): /gm);
const notRequired = outcomes(unscored, /^ {2}([✓✗]) (\S+) \((.+)\)$/gm);
if (all.size <= notRequired.size) {
  console.error(`${revision}: the suite did not run to its end:\n${output}`);
  process.exit(1);
}

const count = (scenarios) => `${scenarios.filter(([, s]) => s.passed).length} of ${scenarios.length}`;
const required = [...all].filter(([name]) => !notRequired.has(name));
const extensions = [...notRequired].filter(([, s]) => s.reason === 'extension');
const others = [...notRequired].filter(([, s]) => s.reason !== 'extension');
console.log(`${revision}: ${count(required)} required scenarios pass, ${count(others)} that are not required yet` +
  (extensions.length ? `, ${count(extensions)} of extensions` : ''));

const failed = [...required, ...others].filter(([, s]) => !s.passed).map(([name]) => name);
for (const folder of readdirSync(results).filter((name) => name !== 'output')) {
  const scenario = folder.replace(/^server-|-\d{4}-\d\d-\d\dT[\d-]+Z$/g, '');
  if (!failed.includes(scenario)) continue;
  for (const check of JSON.parse(readFileSync(join(results, folder, 'checks.json'), 'utf8'))) {
    if (check.status === 'FAILURE') console.error(`  ${scenario}: ${check.id === scenario ? '' : `${check.id}: `}${check.errorMessage}`);
  }
}
process.exit(failed.length ? 1 : 0);
