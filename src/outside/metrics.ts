import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client'

/** What Prometheus is told. Labels are names from the code (routes as declared, loops, consumers), never anything that was sent. */
export interface Metrics {
  /** @param route as declared, such as `/v1/requests/:id`; null for an address that there is not */
  answered(method: string, route: string | null, status: number, seconds: number): void
  /** One sweep. */
  swept(fired: number, failed: number, seconds: number): void
  loopFailed(loop: string): void
  /** A canary job of this process has gone round. */
  wentRound(seconds: number): void
  /** In the text format of Prometheus. */
  read(): Promise<{ contentType: string; text: string }>
}

/** As the service reads them; a rejection says that the database is away. */
export interface Figures {
  workers: number
  roundTripSecondsAgo: number | null
  oldestDueSeconds: number
  outboxRows: number
  outboxSeconds: number
  feedLag: Record<string, number>
  deliveriesDue: number
}

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

export function openMetrics(figures: () => Promise<Figures>): Metrics {
  const registers = [new Registry()]
  const [register] = registers as [Registry]
  collectDefaultMetrics({ register })
  const requests = new Histogram({ name: 'wishwall_http_request_seconds', help: 'Time to answer, by route as declared', labelNames: ['method', 'route', 'status'], buckets: SECONDS, registers })
  const marks = new Counter({ name: 'wishwall_sweep_marks_total', help: 'Marks of deadlines that this process fired, or passed over because it could not', labelNames: ['result'], registers })
  const sweeps = new Histogram({ name: 'wishwall_sweep_seconds', help: 'Time of one sweep', buckets: SECONDS, registers })
  const failures = new Counter({ name: 'wishwall_loop_failures_total', help: 'Turns of a loop that failed', labelNames: ['loop'], registers })
  const roundTrip = new Gauge({ name: 'wishwall_canary_round_trip_seconds', help: 'Of the last canary job that this process sent and got back', registers })
  marks.inc({ result: 'fired' }, 0)
  marks.inc({ result: 'failed' }, 0)

  const gauge = (name: string, help: string) => new Gauge({ name: `wishwall_${name}`, help, registers })
  const up = gauge('database_up', '1 when the figures below could be read from the database')
  const read: [Gauge, (state: Figures) => number | null][] = [
    [gauge('workers', 'Worker processes that live'), ({ workers }) => workers],
    [gauge('canary_age_seconds', 'Since a job last went all the way round in any worker'), ({ roundTripSecondsAgo }) => roundTripSecondsAgo],
    [gauge('deadline_oldest_due_seconds', 'How long the oldest mark has been due'), ({ oldestDueSeconds }) => oldestDueSeconds],
    [gauge('outbox_rows', 'Events that wait for the feed, up to 10,000'), ({ outboxRows }) => outboxRows],
    [gauge('outbox_oldest_seconds', 'How long the oldest of them has waited'), ({ outboxSeconds }) => outboxSeconds],
    [gauge('webhook_deliveries_due', 'Deliveries whose time has come, up to 1,000 for each endpoint'), ({ deliveriesDue }) => deliveriesDue],
  ]
  const lag = new Gauge({ name: 'wishwall_feed_lag_rows', help: 'Rows of the feed that a consumer has not read yet', labelNames: ['consumer'], registers })

  function show(state: Figures | undefined): void {
    up.set(state ? 1 : 0)
    lag.reset()
    for (const [consumer, rows] of Object.entries(state?.feedLag ?? {})) lag.set({ consumer }, rows)
    for (const [one, of] of read) {
      // What is not known is left out, not shown as the last that was.
      one.remove()
      const value = state ? of(state) : null
      if (value !== null) one.set(value)
    }
  }

  const children = new Map<string, ReturnType<typeof requests.labels>>()
  let reading: Promise<{ contentType: string; text: string }> | undefined

  async function readOnce() {
    show(await figures().catch(() => undefined))
    return { contentType: register.contentType, text: await register.metrics() }
  }

  return {
    answered(method, route, status, seconds) {
      const key = `${method} ${route} ${status}`
      const child = children.get(key) ?? requests.labels({ method, route: route ?? 'none', status })
      children.set(key, child)
      child.observe(seconds)
    },
    swept(fired, failed, seconds) {
      marks.inc({ result: 'fired' }, fired)
      marks.inc({ result: 'failed' }, failed)
      sweeps.observe(seconds)
    },
    loopFailed: (loop) => failures.inc({ loop }),
    wentRound: (seconds) => roundTrip.set(seconds),
    // Several at once read once.
    read: () => (reading ??= readOnce().finally(() => { reading = undefined })),
  }
}
