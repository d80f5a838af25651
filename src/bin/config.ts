import { z } from 'zod'

const port = z.coerce.number<string>().int().min(0).max(65535)
const flag = z.enum(['true', 'false']).transform((value) => value === 'true')
const list = z.string().transform((value) => value.split(',').map((part) => part.trim()).filter(Boolean))
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
  WISHWALL_PASSWORD_GRANT: flag.default(true).describe('Whether staff may log in with 工号 and password (Swagger)'),
  WISHWALL_ALLOW_LOOPBACK_WEBHOOKS: flag.default(false).describe('Whether webhooks may go to this machine, also by plain http: for development'),
  WISHWALL_WEBHOOK_ALLOW_CIDRS: list.default([]).describe('Private ranges that webhooks may go to, comma separated; link-local and metadata never'),
  WISHWALL_WEBHOOK_CA_FILE: z.string().optional().describe('PEM of authorities trusted for webhooks besides the public ones'),
  WISHWALL_WEBHOOK_TIMEOUT_MS: z.coerce.number<string>().int().min(1000).max(60_000).default(20_000).describe('How long one attempt to send a webhook may take'),
  WISHWALL_WEBHOOK_TIME_FACTOR: z.coerce.number<string>().positive().max(1).default(1).describe('Shortens the schedule of retries and of giving up: for tests'),
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
