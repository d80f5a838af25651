import { Socket } from 'node:net'
import { type PgPool, createRedisBackend, runMigrations, withBackend } from 'bullmq'
import { Redis, type RedisOptions } from 'ioredis'
import pg from 'pg'
import { createPatientPostgres } from './patient-postgres.ts'
import { type Complain, type Log, type Session, complaints, openSession, within } from './session.ts'

/** What carries the jobs. Only this file knows which: Redis when there is a url for it, else PostgreSQL. */
export interface Backend {
  readonly kind: 'postgres' | 'redis'
  /** In the deploy step, before the first session: BullMQ's own tables; or a look at Redis's settings. */
  prepare(): Promise<void>
  /**
   * For so many workers, or with 0 for producing only.
   * Connections at most: PostgreSQL `workers` + 3, or 2; Redis `workers` + 1.
   */
  open(workers: number): Session
}

export function openBackend(options: { redisUrl?: string | undefined; databaseUrl: string; log: Log }): Backend {
  const { redisUrl, databaseUrl, log } = options
  const complain = complaints(log, 'job backend')
  return redisUrl === undefined ? postgres(databaseUrl, complain) : redis(redisUrl, complain, log)
}

const SCHEMA = 'bullmq'

function postgres(databaseUrl: string, complain: Complain): Backend {
  const classes = withBackend(createPatientPostgres)
  return {
    kind: 'postgres',
    async prepare() {
      const client = new pg.Client({ connectionString: databaseUrl, connectionTimeoutMillis: 5_000 })
      client.on('error', complain) // the query that fails says so too; unheard, this event ends the process
      await client.connect()
      try {
        await runMigrations(client, SCHEMA)
      } finally {
        await client.end()
      }
    },
    open(workers) {
      // One pool for the whole session, of which every worker keeps one connection for LISTEN.
      // BullMQ shares only a pool made by us, and then takes its schema from the search path.
      const sockets = new Set<Socket>()
      const pool = new pg.Pool({
        connectionString: databaseUrl,
        options: `-c search_path=${SCHEMA} -c statement_timeout=5000`,
        application_name: 'wish-wall jobs',
        max: workers === 0 ? 2 : workers + 3,
        connectionTimeoutMillis: 2_000,
        query_timeout: 6_000,
        keepAlive: true,
        stream: () => track(sockets),
      })
      pool.setMaxListeners(0) // every queue and worker listens for its errors
      pool.on('error', complain)
      const cut = async () => {
        await within(500, pool.end())
        for (const socket of sockets) socket.destroy() // `end` waits for a server that does not answer
      }
      return openSession(classes, pool as PgPool, cut, complain)
    },
  }
}

function track(sockets: Set<Socket>): Socket {
  const socket = new Socket()
  sockets.add(socket)
  return socket.once('close', () => sockets.delete(socket))
}

function redis(url: string, complain: Complain, log: Log): Backend {
  const classes = withBackend(createRedisBackend)
  const connect = (options: Omit<RedisOptions, 'replyMapping'>) =>
    new Redis(url, { connectTimeout: 2_000, ...options }).on('error', complain)
  return {
    kind: 'redis',
    async prepare() {
      const client = connect({ lazyConnect: true, retryStrategy: () => null, commandTimeout: 2_000 })
      try {
        await client.connect()
        const policy = /maxmemory_policy:(\S+)/.exec(await client.info('memory'))?.[1]
        if (policy !== 'noeviction') log.warn({ policy }, 'redis may evict jobs: set maxmemory-policy noeviction')
      } catch {
        log.warn('redis is away: jobs begin when it is back') // the database holds the truth, so start anyway
      } finally {
        client.disconnect()
      }
    },
    open(workers) {
      const connection = connect({
        maxRetriesPerRequest: null,
        retryStrategy: (tries) => Math.min(tries * 100, 1_000),
        // A producer's command must come to an end; a worker's may block for 10 s, so only a longer silence counts.
        ...(workers === 0 ? { commandTimeout: 2_000, socketTimeout: 5_000 } : { socketTimeout: 15_000 }),
      })
      return openSession(classes, connection, async () => connection.disconnect(), complain)
    },
  }
}
