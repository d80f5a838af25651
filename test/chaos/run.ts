import { loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { clockCampaign } from './clock.ts'
import { clockChecks, describeOutcome } from './clock-report.ts'

/** `npm run test:chaos -- clock [--seed N] [--requests N] [--seconds N] [--longest N]` */
const { positionals: [campaign], values } = parseArgs({ allowPositionals: true, options: {
  seed: { type: 'string' }, requests: { type: 'string', default: '12500' }, seconds: { type: 'string', default: '1500' }, longest: { type: 'string', default: '30' },
} })
if (campaign !== 'clock') throw new Error('which campaign? There is: clock')

const began = Date.now()
const outcome = await clockCampaign({
  seed: Number(values.seed ?? Math.floor(Math.random() * 2 ** 31)), requests: Number(values.requests), seconds: Number(values.seconds), longest: Number(values.longest),
  say: (line) => console.log(line),
})
for (const line of describeOutcome(outcome)) console.log(line)
console.log(`${((Date.now() - began) / 60_000).toFixed(1)} min; load ${loadavg().map((one) => one.toFixed(1)).join(' ')}`)
const checks = clockChecks(outcome)
for (const { name, good, found } of checks) console.log(`${good ? 'passed' : 'FAILED'}  ${name}${good ? '' : `: ${found}`}`)
const failed = checks.filter(({ good }) => !good).length
console.log(`${checks.length - failed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1
