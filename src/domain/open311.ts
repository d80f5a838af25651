import type { Body } from './bodies.ts'
import { fieldsOf, type Answers, type Field, type Form } from './form.ts'
import { STATES, STATE_NAMES, VERBS, type State, type VerbName } from './machine.ts'

/** What our words are in those of Open311 GeoReport v2 (wiki.open311.org/GeoReport_v2). */

export type Status = 'open' | 'closed'

/** Twelve states in two: closed is what is not worked on any more. What a state is called goes into `status_notes`. */
export const CLOSED: readonly State[] = ['rejected', 'completed', 'closed', 'withdrawn']
export const statusOf = (state: State): Status => (CLOSED.includes(state) ? 'closed' : 'open')
export const statesOf = (statuses: readonly Status[]): State[] => STATE_NAMES.filter((state) => statuses.includes(statusOf(state)))
export const statusNotes = (state: State, outcome: string | null): string => (outcome === null ? STATES[state].zh : `${STATES[state].zh}：${outcome}`)
export const updateNotes = (verb: VerbName, outcome: string | null): string => (outcome === null ? VERBS[verb].zh : `${VERBS[verb].zh}：${outcome}`)

/** A question of a service definition. */
export interface Attribute {
  variable: true
  code: string
  datatype: 'string' | 'number' | 'datetime' | 'text' | 'singlevaluelist' | 'multivaluelist'
  required: boolean
  datatype_description: string | null
  order: number
  description: string
  values?: { key: string; name: string }[]
}

export const attributesOf = (form: Form): Attribute[] => fieldsOf(form).map(([code, field, required], index) => {
  const values = choicesOf(field)
  return {
    variable: true, code, datatype: datatypeOf(field), required, datatype_description: field.description ?? null, order: index + 1, description: field.title,
    ...(values && { values }),
  }
})

const LONGEST_LINE = 200

function datatypeOf(field: Field): Attribute['datatype'] {
  switch (field.type) {
    case 'array': return 'multivaluelist'
    case 'boolean': return 'singlevaluelist'
    case 'integer':
    case 'number': return 'number'
    default:
      if ('oneOf' in field) return 'singlevaluelist'
      if (field.format === 'date-time' || field.format === 'date') return 'datetime'
      return field.format !== undefined || (field.maxLength ?? Infinity) <= LONGEST_LINE ? 'string' : 'text'
  }
}

function choicesOf(field: Field): Attribute['values'] {
  const list = field.type === 'array' ? field.items.oneOf : 'oneOf' in field ? field.oneOf : undefined
  if (field.type === 'boolean') return [{ key: 'true', name: '是' }, { key: 'false', name: '否' }]
  return list?.map((choice) => ({ key: choice.const, name: choice.title }))
}

/** `attribute[code]=value`, or `attribute[code][]=value` and again, or `attribute[code][0]=value`; what is no number stays text, for the form to refuse. */
export function answersFrom(form: Form | null | undefined, parameters: Readonly<Record<string, unknown>>): Answers | undefined {
  const given = new Map<string, string[]>()
  for (const [name, value] of Object.entries(parameters)) {
    const code = /^attribute\[([^\][]{1,64})\](?:\[\d{0,3}\])?$/.exec(name)?.[1]
    const values = [value].flat().map(String).filter((one) => one !== '')
    if (code !== undefined && values.length > 0) given.set(code, [...given.get(code) ?? [], ...values])
  }
  const answers = [...given].map(([code, values]): [string, Answers[string]] => [code, typed(form && Object.hasOwn(form.properties, code) ? form.properties[code] : undefined, values)])
  return answers.length > 0 ? Object.fromEntries(answers) : undefined
}

function typed(field: Field | undefined, values: string[]): Answers[string] {
  if (field?.type === 'array') return values
  const value = values.length > 1 ? values : values[0]!
  if (field?.type === 'string' && 'format' in field && field.format === 'date' && typeof value === 'string') return value.replace(/^(\d{4}-\d{2}-\d{2})T.*$/s, '$1')
  if (field?.type === 'boolean') return value === 'true' ? true : value === 'false' ? false : value
  const isNumber = (field?.type === 'integer' || field?.type === 'number') && typeof value === 'string' && /^-?\d{1,15}(\.\d{1,10})?$/.test(value)
  return isNumber ? Number(value) : value
}

const LONGEST_TITLE = 40

/** GeoReport knows no title: the first line of what is said, or the service's name. */
export function titleOf(description: string | undefined, service: string): string {
  const line = description?.split(/[\n。！？!?]/).map((part) => part.replace(/\p{Cc}/gu, ' ').trim()).find((part) => part !== '')
  const characters = [...line ?? service]
  return characters.length <= LONGEST_TITLE ? characters.join('') : `${characters.slice(0, LONGEST_TITLE - 1).join('')}…`
}

/** Not longer than that, in UTF-16 units as the schemas count; what is cut off is shown to be. */
export function shortened(words: string, most: number): string {
  if (words.length <= most) return words
  const cut = words.slice(0, Math.max(0, most - 1))
  return `${cut.replace(/[\ud800-\udbff]$/, '')}…`
}

const MEDIA = '附图：'

/**
 * Links to pictures elsewhere are kept among the words, a line each, and never opened. GeoReport shows one: the first, which
 * stands last.
 * @param most characters for all together: the links stay whole
 */
export function withMedia(description: string | undefined, urls: readonly string[], most: number): string | undefined {
  if (urls.length === 0) return description
  const [first, ...more] = urls
  const links = [...more, first].map((url) => `${MEDIA}${url}`).join('\n')
  return description === undefined || description === '' ? links : `${shortened(description, most - links.length - 1)}\n${links}`
}

export function mediaApart(description: string | null): { words: string | null; media: string | null } {
  const [, words, media] = /^(?:([\s\S]*)\n)?附图：(\S+)$/.exec(description ?? '') ?? []
  return media === undefined ? { words: description, media: null } : { words: words ?? null, media }
}

/** A comment from outside, as one of our verbs by the app that filed. */
export type Update = { [V in 'resubmit' | 'withdraw' | 'reopen' | 'urge']: { verb: V; input: Body<V> } }['resubmit' | 'withdraw' | 'reopen' | 'urge']

/**
 * What was sent back for completion is completed by it. Open and to be closed: withdrawn. Closed and to be open: done again.
 * Otherwise it urges.
 * @returns undefined where there is nothing to do any more
 */
export function updateFrom(state: State, status: Status, words: string | undefined): Update | undefined {
  const note = words === undefined ? {} : { note: words }
  if (status === 'closed') return statusOf(state) === 'closed' ? undefined : { verb: 'withdraw', input: { reason: 'solved_otherwise', ...note } }
  if (state === 'returned') return { verb: 'resubmit', input: note }
  if (statusOf(state) === 'closed') return { verb: 'reopen', input: words === undefined ? {} : { reason: words } }
  return { verb: 'urge', input: note }
}

/**
 * The place that an address names: the one whose name, with those of the places it lies in, covers most of it. Where several
 * do, what they have in common.
 * @param named places whose names are in the address
 * @returns a path, empty when none is named
 */
export function pathInWords(named: readonly { name: string; path: string }[]): string {
  const scored = named.map(({ path }) => ({ path, covered: named.filter((above) => path.startsWith(above.path)).reduce((sum, { name }) => sum + name.length, 0) }))
  const most = Math.max(0, ...scored.map(({ covered }) => covered))
  const best = scored.filter(({ covered }) => covered === most).map(({ path }) => path)
  return best.reduce((common, path) => sharedPath(common, path), best[0] ?? '')
}

function sharedPath(one: string, other: string): string {
  const [parts, others] = [one.split('/'), other.split('/')]
  const differs = parts.findIndex((part, index) => part !== others[index])
  return differs < 0 ? one : parts.slice(0, differs).map((part) => `${part}/`).join('')
}
