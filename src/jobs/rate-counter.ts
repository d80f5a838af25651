import { Redis, type ClientContext, type Result } from 'ioredis'
import type { Log } from './session.ts'

declare module 'ioredis' {
  /** What `defineCommand` adds. */
  interface RedisCommander<Context extends ClientContext> {
    wishwallCount(key: string, windowMs: number): Result<[number, number], Context>
  }
}

/** A call waits so long for a count at most; then nobody asks for a while. */
const PATIENCE_MS = 250
const QUIET_MS = 1_000

/** The first of a window starts it; the next ones leave its end where it is. */
const COUNT = `local current = redis.call('INCR', KEYS[1])
if current == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) return {current, tonumber(ARGV[1])} end
local ttl = redis.call('PTTL', KEYS[1])
if ttl < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) ttl = tonumber(ARGV[1]) end
return {current, ttl}`

/**
 * Counts calls in Redis for all processes together. A Redis that is away, hangs or is slow costs one call its patience,
 * and the others nothing: they are refused at once, and whoever asked counts for himself.
 */
export function openRateCounter(url: string, log: Log) {
  const redis = new Redis(url, {
    connectTimeout: 2_000, commandTimeout: PATIENCE_MS, maxRetriesPerRequest: 0, enableOfflineQueue: false, autoResendUnfulfilledCommands: false,
    retryStrategy: (tries) => Math.min(tries * 100, 2_000),
  })
  redis.on('error', () => {}) // said below, once
  redis.defineCommand('wishwallCount', { numberOfKeys: 1, lua: COUNT })
  let askAgainAt = 0
  let away = false
  return {
    async count(key: string, windowMs: number): Promise<{ current: number; ttl: number }> {
      const now = performance.now()
      if (now < askAgainAt) throw new Error('redis is away')
      try {
        const [current, ttl] = await redis.wishwallCount(`wish-wall/rate/${key}`, windowMs)
        if (away) log.info('redis counts calls again')
        away = false
        return { current, ttl }
      } catch (error) {
        askAgainAt = now + QUIET_MS
        if (!away) log.warn({ err: error }, 'redis does not count: each process limits calls for itself')
        away = true
        throw error
      }
    },
    close: () => redis.disconnect(),
  }
}
