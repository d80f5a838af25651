import { filingLink, isFor, nearestTo, ON_THE_BOARD, plainAddress, RESPONSIBLE, type AddressedNode, type Audience, type ContactField } from '../domain/contacts.ts'
import { Problem, says } from '../domain/problems.ts'
import { cardOf } from './cards.ts'
import { decodeCursor, pageOf, type Page } from './cursor.ts'
import { tenantHere, type Db } from './db.ts'
import { HELD, HOLDER } from './holders.ts'
import type { Keyring } from './keyring.ts'
import { endOf, LAST_PATH, NODE_PATH } from './nodes.ts'
import type { Place } from './places.ts'
import { openSubjects, type Personal } from './subjects.ts'
import { findNode } from './targets.ts'
import { tenant } from './tenants.ts'

/** Who holds a duty, as far as he wants to be known. */
export interface Contact {
  role: { code: string; name: string }
  /** 替班: stands in for the holder now. */
  standIn: boolean
  name: string | null
  phone: string | null
}

export interface Rung {
  node: Place
  level: string
  levelName: string
  /** Nobody holds a duty here. */
  vacant: boolean
  /** Of a vacant rung: the next one up that somebody holds a duty at. */
  answeredAt: Place | null
  contacts: Contact[]
  organisations: { id: string; code: string; name: string; kind: string; contacts: Contact[] }[]
}

export interface Board {
  node: Place
  /** From the place up. */
  rungs: Rung[]
  /** What the QR code leads to, and what a filing brings along to have the first holder as first contact; null while nobody is there. */
  filing: { url: string; card: string | null }
}

interface Held {
  role: Contact['role']
  organisation: string | null
  subject: string
  standIn: boolean
  fields: ContactField[] | null
  audience: Audience | null
}

interface Row {
  node: Place
  level: string
  duties: Held[]
  organisations: Omit<Rung['organisations'][number], 'contacts'>[]
}

/** $2 capabilities, $3 kinds of organisations. Who dispatches comes first, then who may do most, then who has been there longest. */
const RUNGS = `
  SELECT jsonb_build_object('id', n.id, 'code', n.code, 'name', n.name) AS node, n.level, n.path,
    COALESCE((SELECT jsonb_agg(jsonb_build_object('role', jsonb_build_object('code', ro.code, 'name', ro.name), 'organisation', d."organisationId", 'subject', p."subjectId",
        'standIn', p.id <> d."personId", 'fields', c.fields, 'audience', c.audience) ORDER BY 'dispatch' = ANY (ro.capabilities) DESC, cardinality(ro.capabilities) DESC, d."from", d.id)
      FROM duty d JOIN role ro ON ro."tenantId" = d."tenantId" AND ro.code = d."roleCode" AND ro.capabilities && $2::text[]
      CROSS JOIN LATERAL (SELECT ${HOLDER} AS id) h JOIN person p ON p."tenantId" = d."tenantId" AND p.id = h.id AND p."suspendedAt" IS NULL
      LEFT JOIN contact_card c ON c."tenantId" = d."tenantId" AND c."dutyId" = d.id AND c."personId" = p.id
      WHERE d."tenantId" = n."tenantId" AND d."nodeId" = n.id AND ${HELD}), '[]') AS duties,
    COALESCE((SELECT jsonb_agg(jsonb_build_object('id', o.id, 'code', o.code, 'name', o.name, 'kind', o.kind) ORDER BY o.code)
      FROM organisation o WHERE o."tenantId" = n."tenantId" AND o."nodeId" = n.id AND NOT o.pending AND o.kind = ANY ($3::text[])), '[]') AS organisations
  FROM node n WHERE n."tenantId" = $1 AND n."retiredAt" IS NULL`

/**
 * Who is responsible for a place, from there up to the root.
 * @param ref id or code
 * @param origin where the QR code leads while the tenant has said nowhere else: `https://…`, without a slash at the end
 * @throws Problem not-found also for a retired place
 */
export async function board(db: Db, keyring: Keyring, ref: string, viewer: Audience, origin: string): Promise<Board> {
  const node = await findNode(db, ref)
  if (!node) throw new Problem('not-found')
  return boardAt(db, keyring, node.path, viewer, origin)
}

/** By address: words as people write them, or a door's code. @throws Problem not-found where the address names no place known */
export async function boardByAddress(db: Db, keyring: Keyring, address: string, viewer: Audience, origin: string): Promise<Board> {
  const plain = plainAddress(address)
  const { rows } = await db.app.query<AddressedNode>({
    name: 'addressed_nodes',
    text: `SELECT code, name, path FROM node WHERE "tenantId" = $1 AND "retiredAt" IS NULL AND (strpos($2, name) > 0 OR $2 = code OR starts_with($2, code || '-'))`,
    values: [tenantHere(), plain],
  })
  const path = nearestTo(rows, plain)
  if (path === undefined) throw new Problem('not-found', { errors: [{ pointer: '/query/address', message: says('认不出这个地址', 'The address names no place known') }] })
  return boardAt(db, keyring, path, viewer, origin)
}

async function boardAt(db: Db, keyring: Keyring, path: string, viewer: Audience, origin: string): Promise<Board> {
  const { code, settings: { filingLink: template } } = await tenant(db)
  const { rows } = await db.app.query<Row>({ name: 'rungs', text: `${RUNGS} AND n.code = ANY (string_to_array($4, '/')) ORDER BY length(n.path) DESC`, values: [tenantHere(), RESPONSIBLE, ON_THE_BOARD, path] })
  const rungs = await shown(db, keyring, rows, viewer)
  const next = (from: number) => rungs.find(({ vacant }, index) => index >= from && !vacant)?.node ?? null
  for (const [index, rung] of rungs.entries()) if (rung.vacant) rung.answeredAt = next(index)
  const first = rungs.find(({ contacts }) => contacts.length > 0)
  const card = first ? cardOf(keyring, { node: first.node.code, role: first.contacts[0]!.role.code }) : null
  const { node } = rungs[0]!
  return { node, rungs, filing: { url: filingLink(template ?? `${origin}/v1/nodes/{node}/contacts.html?tenant=${code}&card={card}`, node.code, card), card } }
}

/** Who answers next of a vacant one is not known yet. */
async function shown(db: Db, keyring: Keyring, rows: readonly Row[], viewer: Audience): Promise<Rung[]> {
  const { settings: { levels } } = await tenant(db)
  const known = await openSubjects(db, keyring, rows.flatMap(({ duties }) => duties.filter(({ audience }) => audience !== null).map(({ subject }) => subject)))
  return rows.map(({ node, level, duties, organisations }) => {
    const of = (id: string | null) => duties.filter(({ organisation }) => organisation === id).map((held): Contact => ({ role: held.role, standIn: held.standIn, ...consented(held, known.get(held.subject), viewer) }))
    const contacts = of(null)
    return {
      node, level, levelName: levels.find((one) => one.code === level)?.name ?? level, vacant: contacts.length === 0, answeredAt: null, contacts,
      organisations: organisations.map((one) => ({ ...one, contacts: of(one.id) })),
    }
  })
}

/** As whoever lives there sees them: a place and all below it, in the order of the tree. @throws Problem not-found, cursor-unusable */
export async function rungsBelow(db: Db, keyring: Keyring, { node, cursor, limit }: { node?: string | undefined; cursor?: string | undefined; limit: number }): Promise<Page<Omit<Rung, 'answeredAt'>>> {
  const place = node === undefined ? undefined : await findNode(db, node)
  if (node !== undefined && !place) throw new Problem('not-found')
  const after = cursor === undefined ? null : decodeCursor(cursor, NODE_PATH)
  const { rows } = await db.app.query<Row & { path: string }>({
    name: 'rungs_below', text: `${RUNGS} AND n.path >= $4 AND n.path < $5 AND ($6::text IS NULL OR n.path > $6) ORDER BY n.path LIMIT $7`,
    values: [tenantHere(), RESPONSIBLE, ON_THE_BOARD, place?.path ?? '', place ? endOf(place.path) : LAST_PATH, after, limit + 1],
  })
  const { data, page } = pageOf(rows, limit, ({ path }) => path)
  return { data: await shown(db, keyring, data, 'residents'), page }
}

/** Nothing but what he has agreed to, for this audience; nothing at all once he is erased. */
function consented({ fields, audience }: Held, personal: Personal | undefined, viewer: Audience): Pick<Contact, 'name' | 'phone'> {
  const may = (field: ContactField) => audience !== null && isFor(audience, viewer) && (fields ?? []).includes(field)
  return { name: (may('name') ? personal?.name : undefined) ?? null, phone: (may('phone') ? personal?.workPhone : undefined) ?? null }
}
