import { z } from 'zod'

const port = z.coerce.number<string>().int().min(0).max(65535)
const flag = z.enum(['true', 'false']).transform((value) => value === 'true')
const list = z.string().transform((value) => value.split(',').map((part) => part.trim()).filter(Boolean))
const hosts = list.refine((names) => names.every((name) => /^(\[[\da-f:]+\]|[\w.-]+)(:\d{1,5})?$/i.test(name) && URL.canParse(`https://${name}`)), { error: 'not hosts' })
const url = (protocols: RegExp) => z.url({ protocol: protocols, error: 'not a URL of this kind' })

/** Every setting there is. README's table is held against it, both ways. Empty counts as unset. */
export const CONFIG = z.object({
  PORT: port.default(3000).describe('Port of the API'),
  HOST: z.string().default('127.0.0.1').describe('Address it listens on; the image says 0.0.0.0'),
  DATABASE_URL: url(/^postgres(ql)?$/).optional().describe('PostgreSQL to use; unset: an embedded one with demo data'),
  REDIS_URL: url(/^rediss?$/).optional().describe('Redis or Valkey for the queues; unset: PostgreSQL carries them'),
  WISHWALL_DATA: z.string().default('.data').describe('Folder of the embedded PostgreSQL, its keyring and demo.json'),
  WISHWALL_KEYRING: z.string().optional().describe('Keyring as JSON; required (or the file) with DATABASE_URL'),
  WISHWALL_KEYRING_FILE: z.string().optional().describe('File with the keyring, made by `wish-wall keyring:create`'),
  WISHWALL_DATABASE_CONNECTIONS: z.coerce.number<string>().int().min(2).max(200).default(10).describe('Connections of one process to PostgreSQL'),
  WISHWALL_TRUSTED_PROXIES: list.default([]).describe('CIDRs of proxies whose X-Forwarded-For is believed, comma separated'),
  WISHWALL_RATE_PER_MINUTE: z.coerce.number<string>().int().min(1).max(1_000_000_000).default(120_000).describe('Calls per minute of one credential (app, API key, person); an app may have its own'),
  WISHWALL_RATE_ANONYMOUS_PER_MINUTE: z.coerce.number<string>().int().min(1).max(1_000_000_000).default(12_000).describe('Calls per minute of one address without a good token'),
  WISHWALL_RATE_FAILURES_PER_MINUTE: z.coerce.number<string>().int().min(1).max(1_000_000_000).default(120).describe('Failed logins per minute of one address'),
  WISHWALL_PASSWORD_GRANT: flag.default(true).describe('Whether staff may log in with 工号 and password (Swagger)'),
  WISHWALL_ALLOW_LOOPBACK_WEBHOOKS: flag.default(false).describe('Whether webhooks may go to this machine, also by plain http: for development'),
  WISHWALL_WEBHOOK_ALLOW_CIDRS: list.default([]).describe('Private ranges that webhooks may go to, comma separated; link-local and metadata never'),
  WISHWALL_WEBHOOK_CA_FILE: z.string().optional().describe('PEM of authorities trusted for webhooks besides the public ones'),
  WISHWALL_WEBHOOK_TIMEOUT_MS: z.coerce.number<string>().int().min(1000).max(60_000).default(20_000).describe('How long one attempt to send a webhook may take'),
  WISHWALL_WEBHOOK_TIME_FACTOR: z.coerce.number<string>().positive().max(1).default(1).describe('Shortens the schedule of retries and of giving up: for tests'),
  WISHWALL_FILES_DIR: z.string().optional().describe('Folder of photos and papers, shared by all processes; unset: `files` under WISHWALL_DATA'),
  WISHWALL_ERASURE_LEDGER: z.string().optional().describe('File of the erasure ledger, kept apart from the backups of the database; unset: `erasures.jsonl` under WISHWALL_DATA'),
  WISHWALL_QUOTA_MIB: z.coerce.number<string>().int().min(1).max(1_000_000).default(5120).describe('Room for the photos and papers of one tenant, in MiB'),
  WISHWALL_S3_BUCKET: z.string().optional().describe('Private bucket for photos and papers in place of the folder; needs `@aws-sdk/client-s3` and `@aws-sdk/s3-request-presigner`'),
  WISHWALL_S3_ENDPOINT: url(/^https?$/).optional().describe('S3-compatible service (MinIO, OSS, COS…); unset: AWS'),
  WISHWALL_S3_REGION: z.string().default('us-east-1').describe('Region of the bucket'),
  WISHWALL_S3_ACCESS_KEY_ID: z.string().optional().describe('Access key; unset: wherever the AWS SDK finds one'),
  WISHWALL_S3_SECRET_ACCESS_KEY: z.string().optional().describe('Secret of the access key'),
  WISHWALL_S3_PATH_STYLE: flag.default(false).describe('Whether the bucket is written into the path (MinIO) and not into the host name'),
  METRICS_PORT: port.optional().describe('Port of its own for `/metrics`, on HOST, for api and worker alike; unset: none'),
  METRICS_TOKEN: z.string().min(16).optional().describe('Bearer token for `/metrics`; without it there is no `/metrics` on the port of the API'),
  WISHWALL_ROBOT_HOSTS: hosts.default([]).describe('Hosts (`host` or `host:port`) of private WeCom, DingTalk or Feishu deployments that group robots may be at, comma separated'),
  WISHWALL_REQUEST_LINK: z.string().refine((link) => link.includes('{number}') && URL.canParse(link), { error: 'not a URL with {number}' }).optional().describe('Where a robot message leads, with `{number}` (and `{tenant}`) in it; unset: the request at HOST and PORT'),
  LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info').describe('pino level'),
})

export type Config = z.infer<typeof CONFIG>

/** @throws Failure naming every faulty variable, and never its value: it may be a secret */
export function readConfig(env: Record<string, string | undefined>): Config {
  const given = Object.fromEntries(Object.keys(CONFIG.shape).flatMap((name) => (env[name] ? [[name, env[name]]] : [])))
  const { data, error } = CONFIG.safeParse(given)
  if (data) return data
  throw new Failure(error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; '))
}

/** A reason not to start: one line for a person, no stack. */
export class Failure extends Error {
  override readonly name = 'Failure'
}
