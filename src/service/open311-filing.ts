import { createHash } from 'node:crypto'
import { relationsOf, type AppActor } from '../domain/actor.ts'
import { phone as phoneHere } from '../domain/atoms.ts'
import { BODIES, type Body } from '../domain/bodies.ts'
import { answersFrom, statusOf, titleOf, updateFrom, withMedia, type Status } from '../domain/open311.ts'
import { Problem, says } from '../domain/problems.ts'
import type { Db } from './db.ts'
import { file } from './filing.ts'
import { fingerprint, once } from './idempotency.ts'
import { readItem } from './items.ts'
import type { Keyring } from './keyring.ts'
import { load } from './load.ts'
import { nodeAt } from './nearest.ts'
import { act } from './requests.ts'

/** What comes in through Open311, as filings and verbs of the app whose key it is. */

interface Deps {
  db: Db
  keyring: Keyring
}

/** A GeoReport v2 service request. `parameters` holds `attribute[…]`. */
export interface Open311Filing {
  service: string
  description?: string | undefined
  lat?: number | undefined
  long?: number | undefined
  address?: string | undefined
  /** Code of a node. */
  addressId?: string | undefined
  firstName?: string | undefined
  lastName?: string | undefined
  phone?: string | undefined
  /** Addresses. */
  media: readonly string[]
  /** Whoever sends the same again is known by one of these: kept nowhere but in the fingerprint. */
  sender: string
  parameters: Readonly<Record<string, unknown>>
}

/**
 * Files it as the app. The same words of the same sender within 24 hours are the same request: GeoReport has no keys for
 * calls, and phones send again.
 * @param read refuses what our own filing would refuse, in the words of the door
 * @returns the number
 * @throws Problem item-unknown, node-unknown, validation-failed
 */
export async function fileOpen311({ db, keyring }: Deps, filing: Open311Filing, actor: AppActor, read: (input: unknown) => Body<'file'>): Promise<string> {
  const item = await readItem(db, filing.service).catch((error: unknown) => { throw error instanceof Problem && error.code === 'not-found' ? itemUnknown() : error })
  const { description, lat, long, address, addressId, media } = filing
  const point = lat === undefined || long === undefined ? undefined : { lng: long, lat }
  if (!point && address === undefined && addressId === undefined) {
    throw new Problem('validation-failed', { errors: [{ pointer: '/lat', code: 'required', message: says('lat 与 long、address_string、address_id 至少写一项', 'Give lat and long, address_string or address_id') }] })
  }
  // Of a service that asks for nothing more, nothing more is kept: some clients send attributes all the same.
  const form = item.form ? answersFrom(item.form, filing.parameters) : undefined
  const words = withMedia(description, media, LONGEST_DESCRIPTION)
  const input = withPhone(filing.phone, read({
    item: item.code, title: titleOf(description, item.name), source: 'open311',
    ...(words !== undefined && { description: words }),
    node: addressId ?? await nodeAt(db, { point, address }),
    ...((point ?? address) !== undefined && { location: { ...(address !== undefined && { address }), ...(point && { ...point, crs: 'wgs84' }) } }),
    ...(form && { form }),
    ...whoAsks(filing),
  }))
  const run = (keep?: (status: number, body: string) => ReturnType<Parameters<Parameters<typeof once>[3]>[0]>) =>
    file(db, input, actor, { keyring, ...(keep && { keep: ({ number }) => keep(201, number) }) })
  if (filing.sender === '') return (await run()).number
  const print = JSON.stringify([filing.sender, { ...input, node: undefined }])
  const key = `open311/request/${createHash('sha256').update(print).digest('base64url')}`
  const sent = await once(db, keyring, { caller: actor.clientId, key, fingerprint: fingerprint(print) }, async (keep) => {
    const { number } = await run(keep)
    return { status: 201, body: number, replayed: false }
  })
  return sent.body
}

/** GeoReport v2 allows so many characters for the description alone; ours hold the links too. */
const LONGEST_DESCRIPTION = 4_000

/** 诉求人: known by name or phone, on record without an account. Of a Chinese name the surname comes first. */
function whoAsks({ firstName = '', lastName = '', phone }: Open311Filing): Pick<Body<'file'>, 'beneficiary'> {
  const name = /\p{Script=Latin}/u.test(`${firstName}${lastName}`) ? `${firstName} ${lastName}`.trim() : `${lastName}${firstName}`
  return name === '' && phone === undefined ? {} : { beneficiary: { name: name === '' ? NAMELESS : name, ...(phone !== undefined && !isElsewhere(phone) && { phone }) } }
}

/** A number of another country, or of an exchange without its area code: GeoReport v2 has no format for it, and nobody is turned away for it. Sealed like any other. */
const isElsewhere = (written: string): boolean => !phoneHere.safeParse(written).success && /^\+?[\d\s()./-]{5,32}$/.test(written) && (written.match(/\d/g) ?? []).length >= 5

const withPhone = (written: string | undefined, input: Body<'file'>): Body<'file'> =>
  (written !== undefined && isElsewhere(written) && typeof input.beneficiary === 'object' ? { ...input, beneficiary: { ...input.beneficiary, phone: written.replace(/[^+\d]/g, '') } } : input)

const NAMELESS = '未留姓名'

const itemUnknown = (): Problem => new Problem('item-unknown', { errors: [{ pointer: '/item', message: says('没有这项服务', 'service_code was not found') }] })

export interface Open311Comment {
  request: string
  /** Of the sender: the same one has an effect once. */
  id: string
  status: Status
  words?: string | undefined
}

/**
 * A comment on a request of the app's own, as one of our verbs (domain/open311.ts).
 * @returns our id of it
 * @throws Problem request-not-found for one of another's, transition-refused where nothing is to be done any more, what the verb throws
 */
export async function commentOpen311({ db, keyring }: Deps, { request, id, status, words }: Open311Comment, actor: AppActor): Promise<string> {
  const keyed = { caller: actor.clientId, key: `open311/update/${id}`, fingerprint: fingerprint(request, status, words ?? '') }
  const sent = await once(db, keyring, keyed, async (keep) => {
    const facts = await load(db, request)
    if (!facts || !relationsOf(actor, facts).has('filer')) throw new Problem('request-not-found')
    const { state, number } = facts.request
    const update = updateFrom(state, status, words)
    if (!update) throw new Problem('transition-refused', { facts: { state, status: statusOf(state) } })
    let body = ''
    await act(db, update.verb, request, BODIES[update.verb].parse(update.input), actor, { keyring, keep: ({ version }) => keep(201, (body = `${number}-${version}`)) })
    return { status: 201, body, replayed: false }
  })
  return sent.body
}
