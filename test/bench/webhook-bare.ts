import { createHmac, randomBytes } from 'node:crypto'
import { Pool } from 'undici'
import { v7 as uuidv7 } from 'uuid'

/** What the product is measured against: a loop that signs and posts, knows neither database nor retry, and runs in a process of its own. */

export interface BareRun {
  origin: string
  body: string
  count: number
  connections: number
}

const key = randomBytes(32)

async function run({ origin, body, count, connections }: BareRun): Promise<void> {
  const pool = new Pool(origin, { connections, pipelining: 1 })
  let next = 0
  await Promise.all(Array.from({ length: connections }, async () => {
    while (next++ < count) {
      const [id, timestamp] = [uuidv7(), String(Math.floor(Date.now() / 1000))]
      const signature = `v1,${createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')}`
      const { statusCode, body: answer } = await pool.request({
        method: 'POST', path: '/', body,
        headers: { 'content-type': 'application/json', 'user-agent': 'bare', 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signature },
      })
      if (statusCode !== 204) throw new Error(`answered ${statusCode}`)
      await answer.arrayBuffer()
    }
  }))
  await pool.close()
}

process.on('message', (order: BareRun) => void run(order).then(() => process.send!({ done: true })))
process.on('disconnect', () => process.exit())
process.send!({ ready: true })
