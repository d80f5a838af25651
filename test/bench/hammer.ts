import { Pool } from 'undici'

export interface Shot {
  method: 'GET' | 'POST'
  path: string
  token?: string
  body?: object
}

export interface Figures {
  perSecond: number
  p50: number
  p99: number
  /** Answers outside 2xx. */
  failed: number
}

/** `count` requests over 32 connections, each waited for. Times in milliseconds. */
export async function hammer(origin: string, count: number, shot: (n: number) => Shot, connections = 32): Promise<Figures> {
  const pool = new Pool(origin, { connections, pipelining: 1 })
  const times: number[] = []
  let next = 0
  let failed = 0
  const one = async (n: number) => {
    const { method, path, token, body } = shot(n)
    const began = performance.now()
    const answer = await pool.request({
      method, path,
      headers: { ...(token === undefined ? {} : { authorization: `Bearer ${token}` }), ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    await answer.body.arrayBuffer()
    times.push(performance.now() - began)
    if (answer.statusCode >= 300) failed++
  }
  const began = performance.now()
  await Promise.all(Array.from({ length: connections }, async () => {
    while (next < count) await one(next++)
  }))
  const seconds = (performance.now() - began) / 1000
  await pool.close()
  times.sort((a, b) => a - b)
  const at = (share: number) => times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? NaN
  return { perSecond: count / seconds, p50: at(0.5), p99: at(0.99), failed }
}
