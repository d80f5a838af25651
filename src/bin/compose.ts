import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { join, resolve } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { pino, type Logger } from 'pino'
import { buildApp } from '../http/app.ts'
import { authentication } from '../http/auth.ts'
import { attachmentRoutes } from '../http/routes/attachments.ts'
import { auditRoutes } from '../http/routes/audit.ts'
import { bulkRoutes } from '../http/routes/bulk.ts'
import { calendarRoutes } from '../http/routes/calendar.ts'
import { candidateRoutes } from '../http/routes/candidates.ts'
import { campaignRoutes } from '../http/routes/campaigns.ts'
import { contactRoutes } from '../http/routes/contacts.ts'
import { venueRoutes } from '../http/routes/venues.ts'
import { clientRoutes } from '../http/routes/clients.ts'
import { creditRoutes } from '../http/routes/credit.ts'
import { duplicateRoutes } from '../http/routes/duplicates.ts'
import { dutyRoutes } from '../http/routes/duties.ts'
import { enrolmentRoutes } from '../http/routes/enrolments.ts'
import { eventCatalogueRoutes, webhookOperations } from '../http/routes/event-catalogue.ts'
import { eventRoutes } from '../http/routes/events.ts'
import { keyedPosts } from '../http/keyed-posts.ts'
import { healthRoutes } from '../http/routes/health.ts'
import { exportRoutes } from '../http/routes/exports.ts'
import { householdRoutes } from '../http/routes/households.ts'
import { importRoutes } from '../http/routes/imports.ts'
import { itemRoutes } from '../http/routes/items.ts'
import { meRoutes } from '../http/routes/me.ts'
import { myWorkRoutes } from '../http/routes/my-work.ts'
import { metricsRoutes, metricsServer } from '../http/routes/metrics.ts'
import { nodeRoutes } from '../http/routes/nodes.ts'
import { notificationRoutes } from '../http/routes/notifications.ts'
import { oauthRoutes } from '../http/routes/oauth.ts'
import { policyRoutes } from '../http/routes/policies.ts'
import { open311Routes } from '../http/routes/open311.ts'
import { operationRoutes } from '../http/routes/operations.ts'
import { organisationRoutes } from '../http/routes/organisations.ts'
import { peopleRoutes } from '../http/routes/people.ts'
import { privacyRoutes } from '../http/routes/privacy.ts'
import { quietHoursRoutes } from '../http/routes/quiet-hours.ts'
import { requestRoutes } from '../http/routes/requests.ts'
import { robotRoutes } from '../http/routes/robots.ts'
import { securityRoutes } from '../http/routes/security.ts'
import { skillRoutes } from '../http/routes/skills.ts'
import { statsRoutes } from '../http/routes/stats.ts'
import { streamRoutes } from '../http/routes/stream.ts'
import { totpRoutes } from '../http/routes/totp.ts'
import { visitRoutes } from '../http/routes/visits.ts'
import { wallRoutes } from '../http/routes/wall.ts'
import { webhookRoutes } from '../http/routes/webhooks.ts'
import { openBackend, type Backend } from '../jobs/backend.ts'
import { startSender } from '../jobs/deliver.ts'
import { openJobs } from '../jobs/enqueue.ts'
import { ledgerKeeper } from '../jobs/erasure-ledger.ts'
import { startLoops } from '../jobs/loops.ts'
import { QUEUES } from '../jobs/queues.ts'
import { openRateCounter } from '../jobs/rate-counter.ts'
import { startRobots } from '../jobs/robots.ts'
import { startWorkers } from '../jobs/worker.ts'
import { openEgress, type Egress } from '../outside/egress.ts'
import { openLedgerFile, type LedgerFile } from '../outside/erasure-ledger.ts'
import { openImages } from '../outside/image.ts'
import { openJsonReader } from '../outside/json-reader.ts'
import { openMetrics, type Metrics } from '../outside/metrics.ts'
import { openRobots } from '../outside/robots.ts'
import { spool } from '../outside/spool.ts'
import { openStorage, type Storage } from '../outside/storage.ts'
import { tableStream } from '../outside/table-stream.ts'
import { workbooks } from '../outside/workbook.ts'
import { Problem } from '../domain/problems.ts'
import { isSomeonesOrigin } from '../service/cors-origins.ts'
import { openDatabase, type Db } from '../service/db.ts'
import { figures } from '../service/figures.ts'
import { assertReadsChinese, lifeSigns } from '../service/health.ts'
import type { Keyring } from '../service/keyring.ts'
import { Lockout } from '../service/lockout.ts'
import { Turns } from '../service/turns.ts'
import { Failure, type Config } from './config.ts'
import { keyringFrom } from './keyring-file.ts'
import { unlistenable } from './listening.ts'
import type { Stoppable } from './run.ts'

/** What both doors stand on. */
export interface House {
  config: Config
  log: Logger
  db: Db
  keyring: Keyring
  databaseUrl: string
  backend: Backend
  files: Storage
  /** Where somebody reads them. */
  metrics?: Metrics | undefined
}

/** JSON when a machine reads it, words when a person does. */
export const logger = ({ LOG_LEVEL }: Config): Logger =>
  pino({ level: LOG_LEVEL }, process.stdout.isTTY ? pino.transport({ target: 'pino-pretty', options: { ignore: 'pid,hostname' } }) : undefined)

/** `DATABASE_URL` with nothing embedded and nothing seeded. @throws Failure when it, or the keyring, is missing */
export async function openHouse(config: Config, log: Logger): Promise<House> {
  const { DATABASE_URL: databaseUrl, WISHWALL_KEYRING: keyring, WISHWALL_KEYRING_FILE: keyringFile } = config
  if (databaseUrl === undefined) throw new Failure('DATABASE_URL is not set; `wish-wall start` runs everything on an embedded PostgreSQL')
  return furnish({ config, log, databaseUrl, keyring: await failing(keyringFrom({ keyring, keyringFile }, undefined, (why) => log.error({ why }, 'keyring file not read again'))) })
}

export async function furnish({ config, log, databaseUrl, keyring }: Pick<House, 'config' | 'log' | 'databaseUrl' | 'keyring'>): Promise<House> {
  const db = openDatabase({ url: databaseUrl, connections: config.WISHWALL_DATABASE_CONNECTIONS, onError: (error) => log.warn({ err: error }, 'database connection lost') })
  await failing(assertReadsChinese(db))
  const files = await storageOf(config)
  const metrics = config.METRICS_PORT === undefined && config.METRICS_TOKEN === undefined ? undefined : openMetrics(() => figures(db))
  return { config, log, db, keyring, databaseUrl, files, metrics, backend: openBackend({ redisUrl: config.REDIS_URL, databaseUrl, log }) }
}

export const databaseOf = (house: House): Stoppable => ({ stop: () => house.db.close() })

const waysOut = ({ WISHWALL_ALLOW_LOOPBACK_WEBHOOKS: allowLoopback, WISHWALL_WEBHOOK_ALLOW_CIDRS: allowCidrs, WISHWALL_WEBHOOK_CA_FILE: caFile }: Config) => ({ allowLoopback, allowCidrs, caFile })

/** The way out for webhooks. @throws Failure for a range or a file that is none */
function egressOf(config: Config): Egress {
  try {
    return openEgress(waysOut(config))
  } catch (error) {
    throw new Failure('WISHWALL_WEBHOOK_ALLOW_CIDRS or WISHWALL_WEBHOOK_CA_FILE: not ranges, or not a file of certificates', { cause: error })
  }
}

/** Where photos and papers are kept; a folder is made when the first one comes. @throws Failure when S3 is wanted and cannot be */
export async function storageOf(config: Config): Promise<Storage> {
  const { WISHWALL_S3_ACCESS_KEY_ID: accessKeyId, WISHWALL_S3_SECRET_ACCESS_KEY: secretAccessKey } = config
  if ((accessKeyId === undefined) !== (secretAccessKey === undefined)) throw new Failure('WISHWALL_S3_ACCESS_KEY_ID and WISHWALL_S3_SECRET_ACCESS_KEY: one of them is not set')
  return failing(openStorage({
    folder: resolve(config.WISHWALL_FILES_DIR ?? join(config.WISHWALL_DATA, 'files')),
    s3: config.WISHWALL_S3_BUCKET === undefined ? undefined : {
      bucket: config.WISHWALL_S3_BUCKET, endpoint: config.WISHWALL_S3_ENDPOINT, region: config.WISHWALL_S3_REGION, accessKeyId, secretAccessKey, pathStyle: config.WISHWALL_S3_PATH_STYLE,
    },
  }))
}

/** The file of the erasure ledger. */
export const ledgerOf = ({ WISHWALL_ERASURE_LEDGER: file, WISHWALL_DATA: data }: Config, path = file ?? join(data, 'erasures.jsonl')): LedgerFile => openLedgerFile(resolve(path))

/** Pictures that one process decodes at once. */
const DECODED_AT_ONCE = 2

/** The HTTP door, not yet listening. */
export function buildApi({ config, log, db, keyring, files, metrics }: Pick<House, 'config' | 'log' | 'db' | 'keyring' | 'files' | 'metrics'>, { checkAnswers = false } = {}): FastifyInstance {
  const egress = egressOf(config)
  const reader = openJsonReader(waysOut(config))
  const deps = { db, keyring, egress, robots: openRobots({ egress, hosts: config.WISHWALL_ROBOT_HOSTS }), clock: Date.now, lockout: new Lockout((by) => log.warn({ by }, 'locked out after failed logins')), readJson: reader.read }
  const shared = config.REDIS_URL === undefined ? undefined : openRateCounter(config.REDIS_URL, log)
  const app = buildApp({
    log,
    webhooks: webhookOperations,
    trustedProxies: config.WISHWALL_TRUSTED_PROXIES,
    limits: {
      credential: config.WISHWALL_RATE_PER_MINUTE, anonymous: config.WISHWALL_RATE_ANONYMOUS_PER_MINUTE, failures: config.WISHWALL_RATE_FAILURES_PER_MINUTE, shared,
    },
    isAllowedOrigin: (origin) => isSomeonesOrigin(db, origin),
    answered: metrics?.answered,
    checkAnswers,
    routes: [
      authentication(deps), keyedPosts(deps),
      healthRoutes(deps), oauthRoutes({ ...deps, passwordGrant: config.WISHWALL_PASSWORD_GRANT }), meRoutes(deps),
      requestRoutes(deps), bulkRoutes(deps), duplicateRoutes(deps), myWorkRoutes(deps), notificationRoutes(deps), wallRoutes(deps), nodeRoutes(deps), organisationRoutes(deps), itemRoutes(deps), policyRoutes(deps), eventRoutes(deps), streamRoutes(deps),
      webhookRoutes(deps), eventCatalogueRoutes, robotRoutes(deps), quietHoursRoutes(deps),
      calendarRoutes({ ...deps, workbooks }), operationRoutes(deps), open311Routes(deps),
      peopleRoutes(deps), totpRoutes(deps), securityRoutes(deps), privacyRoutes(deps), auditRoutes(deps), dutyRoutes(deps), enrolmentRoutes(deps), clientRoutes(deps), skillRoutes(deps), candidateRoutes(deps),
      statsRoutes(deps), creditRoutes(deps), contactRoutes(deps), venueRoutes(deps), campaignRoutes(deps),
      householdRoutes(deps), visitRoutes(deps), importRoutes({ ...deps, workbooks, spool }), exportRoutes({ ...deps, tables: tableStream }),
      attachmentRoutes({ ...deps, files, spool, images: openImages(), turns: new Turns(DECODED_AT_ONCE), quotaMib: config.WISHWALL_QUOTA_MIB }),
    ],
  })
  if (metrics && config.METRICS_TOKEN !== undefined) app.register(metricsRoutes({ metrics, token: config.METRICS_TOKEN }))
  app.addHook('onClose', async () => reader.close())
  app.addHook('onClose', () => deps.egress.close())
  app.addHook('onClose', async () => shared?.close())
  return app
}

/** @returns the address it listens on */
export async function startApi(house: House, started: (part: Stoppable) => void): Promise<string> {
  const { HOST: host, PORT: port } = house.config
  const app = buildApi(house)
  started({ stop: () => app.close() })
  try {
    return await app.listen({ host, port })
  } catch (error) {
    throw unlistenable(error, house.config)
  }
}

/** `/metrics` on a port of its own, where one is set. */
export async function startMetrics({ config: { HOST: host, METRICS_PORT: port, METRICS_TOKEN: token }, metrics, log }: House, started: (part: Stoppable) => void): Promise<void> {
  if (port === undefined || !metrics) return
  const server = metricsServer({ metrics, token }).listen({ host, port })
  await once(server, 'listening').catch((error: unknown) => { throw unlistenable(error, { HOST: host, PORT: port }, 'METRICS_PORT') })
  started({ stop: async () => {
    server.close()
    server.closeAllConnections()
  } })
  log.info({ port: (server.address() as AddressInfo).port }, 'metrics')
}

/** Where a robot's message leads. */
const linkOf = ({ WISHWALL_REQUEST_LINK: link, HOST: host, PORT: port }: Config): string => link ?? `http://${host}:${port}/v1/requests/{number}`

/** The worker door: queues, and the loops that make good whatever the queues lose. */
export async function startWorker({ config, backend, db, keyring, files, metrics, log }: House, started: (part: Stoppable) => void): Promise<void> {
  await failing(backend.prepare())
  const life = lifeSigns(db)
  const jobs = openJobs({ backend, queues: QUEUES, log })
  started({ stop: () => jobs.close(2_000) })
  const egress = egressOf(config)
  started({ stop: () => egress.close() })
  const sender = startSender({ db, keyring, egress, log, timeoutMs: config.WISHWALL_WEBHOOK_TIMEOUT_MS, timeFactor: config.WISHWALL_WEBHOOK_TIME_FACTOR })
  started({ stop: () => sender.stop() })
  const robots = startRobots({
    db, keyring, log, robots: openRobots({ egress, hosts: config.WISHWALL_ROBOT_HOSTS }), link: linkOf(config),
    timeoutMs: Math.min(10_000, config.WISHWALL_WEBHOOK_TIMEOUT_MS), timeFactor: config.WISHWALL_WEBHOOK_TIME_FACTOR,
  })
  started({ stop: () => robots.stop() })
  const workers = startWorkers({ backend, queues: QUEUES, deps: { db, sender, alive: life.roundTrip }, log, isPermanent: (error) => error instanceof Problem, ...(metrics && { wentRound: metrics.wentRound }) })
  started({ stop: () => workers.stop(5_000) })
  const ledger = ledgerKeeper({ db, file: ledgerOf(config), log })
  const loops = startLoops({ db, keyring, jobs, sender, robots, files, ledger, log, metrics, seen: life.seen })
  started({ stop: async () => {
    await loops.stop()
    await life.gone()
  } })
}

/** What others throw for a person to read, without its stack. */
export async function failing<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException
    throw new Failure(message || code || String(error), { cause: error })
  }
}
