import { BREACHES, contractOf, type Contract } from '../src/http/contract.ts'
import type { Document } from '../src/http/openapi-tidy.ts'

/** What real processes answer to `fetch` is held to the document that they serve themselves; `contract.ts` looks at what was found. */
const plainFetch = globalThis.fetch
const contracts = new Map<string, Promise<{ contract: Contract; paths: [RegExp, string][] } | null>>()

/** From here on the answers of this origin to `fetch` are looked at. */
export function holdToItsDocument(origin: string): void {
  if (!contracts.has(origin)) contracts.set(origin, ofOrigin(origin).catch(() => null))
}

async function ofOrigin(origin: string) {
  const document = (await (await plainFetch(`${origin}/openapi.json`)).json()) as Document
  // a path with fewer parameters is meant when two fit
  const paths = Object.keys(document.paths).sort((a, b) => a.split('{').length - b.split('{').length)
    .map((path): [RegExp, string] => [new RegExp(`^${path.replaceAll('.', '\\.').replace(/\{\w+\}/g, '[^/]+')}$`), path])
  return { contract: contractOf(document), paths }
}

globalThis.fetch = async (input, init) => {
  const answer = await plainFetch(input, init)
  const url = new URL(input instanceof Request ? input.url : String(input))
  const known = await contracts.get(url.origin)
  const path = known?.paths.find(([pattern]) => pattern.test(url.pathname))?.[1]
  if (!known || path === undefined) return answer
  const contentType = answer.headers.get('content-type') ?? undefined
  const method = (init?.method ?? (input instanceof Request ? input.method : 'GET')).toUpperCase()
  const isStream = contentType?.startsWith('text/event-stream')
  const breach = known.contract({ method, path, status: answer.status, contentType, body: isStream || method === 'HEAD' ? null : await read(answer.clone()) })
  // a method that the path has not is answered by nobody's operation
  if (breach !== undefined && answer.status !== 405) BREACHES.push(breach)
  return answer
}

/** Null for what was cut off on the way, as it is when a process is killed. */
const read = (answer: Response): Promise<string | null> => answer.text().catch(() => null)
