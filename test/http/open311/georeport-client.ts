import { XMLParser } from 'fast-xml-parser'

/**
 * A client of GeoReport v2, written after wiki.open311.org/GeoReport_v2 alone: it knows nothing of whoever answers. What
 * comes is read by the format that was asked for, and held to the content type that the specification demands.
 */
export interface GeoReport {
  status: number
  /** As it came. */
  text: string
  /** Things in the list, or the thing. */
  all: Record<string, any>[]
}

const LISTS = ['service', 'attribute', 'value', 'request', 'request_update', 'error', 'endpoint', 'format']
const parser = new XMLParser({ isArray: (name) => LISTS.includes(name), parseTagValue: false, ignoreDeclaration: true })
const CONTENT = { json: 'application/json; charset=utf-8', xml: 'text/xml; charset=utf-8' }
const ROOTS = { services: 'service', service_requests: 'request', service_request_updates: 'request_update', errors: 'error' } as const

export function geoReport(endpoint: string, format: 'json' | 'xml', defaults: Record<string, string> = {}) {
  const read = async (answer: Response): Promise<GeoReport> => {
    const text = await answer.text()
    if (answer.headers.get('content-type') !== CONTENT[format]) throw new Error(`${answer.url} ${answer.status}: ${answer.headers.get('content-type')} for ${format}: ${text}`)
    if (format === 'json') return { status: answer.status, text, all: [JSON.parse(text)].flat() }
    if (!text.startsWith('<?xml version="1.0" encoding="utf-8"?>\n')) throw new Error(`no declaration: ${text}`)
    const [root, body] = Object.entries(parser.parse(text) as Record<string, any>)[0]!
    const each = ROOTS[root as keyof typeof ROOTS]
    return { status: answer.status, text, all: each === undefined ? [body] : (body?.[each] ?? []) }
  }
  const get = async (resource: string, query: Record<string, string> = {}) => read(await fetch(`${endpoint}/${resource}.${format}?${new URLSearchParams({ ...defaults, ...query })}`))
  const post = async (resource: string, form: Record<string, string> | [string, string][]) => {
    const body = new URLSearchParams([...Object.entries(defaults), ...(Array.isArray(form) ? form : Object.entries(form))])
    return read(await fetch(`${endpoint}/${resource}.${format}`, { method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' }, body }))
  }
  return {
    services: () => get('services'),
    definition: (service: string) => get(`services/${service}`),
    requests: (query: Record<string, string> = {}) => get('requests', query),
    request: (id: string) => get(`requests/${id}`),
    token: (token: string) => get(`tokens/${token}`),
    file: (form: Record<string, string> | [string, string][]) => post('requests', form),
    updates: (query: Record<string, string> = {}) => get('servicerequestupdates', query),
    update: (form: Record<string, string>) => post('servicerequestupdates', form),
    discovery: () => get('discovery'),
  }
}
