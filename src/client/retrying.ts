export interface Patience {
  /** How often a request is sent at most; 4 unless told. */
  attempts?: number
  /** Longest wait between two of them that is put up with, in seconds; 30 unless told. */
  longestWait?: number
}

type Send = (request: Request) => Promise<Response>

/**
 * Sends again what was refused for now: 429, and 409 while a request with the same Idempotency-Key is being processed. What
 * got no answer, or 503, may have been done all the same: it is sent again if `isRepeatable`, when the server does it once.
 */
export function retrying(fetch: Send, { attempts = 4, longestWait = 30 }: Patience): (request: Request, isRepeatable: boolean) => Promise<Response> {
  return async (request, isRepeatable) => {
    for (let attempt = 1; ; attempt++) {
      const last = attempt >= attempts
      const answer = await fetch(last ? request : request.clone()).catch((error: unknown) => {
        if (last || !isRepeatable || request.signal.aborted) throw error
        return undefined
      })
      if (answer !== undefined && (last || !(await isForNow(answer, isRepeatable)))) return answer
      const wait = Number(answer?.headers.get('retry-after') ?? Number.NaN)
      const seconds = Number.isFinite(wait) ? wait : backoff(attempt)
      if (answer !== undefined && seconds > longestWait) return answer
      await answer?.body?.cancel()
      await new Promise((resolve) => setTimeout(resolve, seconds * 1_000))
    }
  }
}

/** 0.2 s, 0.4 s, 0.8 s…, each up to half as long again, so that not all come back at once. */
const backoff = (attempt: number): number => 0.1 * 2 ** attempt * (1 + Math.random() / 2)

async function isForNow(answer: Response, isRepeatable: boolean): Promise<boolean> {
  if (answer.status === 429) return true
  if (answer.status === 503) return isRepeatable
  if (answer.status !== 409) return false
  const { code } = (await answer.clone().json().catch(() => ({}))) as { code?: string }
  return code === 'idempotency-in-flight'
}
