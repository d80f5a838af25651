import { isDeepStrictEqual } from 'node:util'
import { v7 as uuidv7 } from 'uuid'
import type { Actor } from '../domain/actor.ts'
import { administers } from '../domain/places.ts'
import { readPolicy, tooEarly, unsayable, type Policy } from '../domain/policy.ts'
import { neverAfterOpening } from '../domain/preview.ts'
import { Problem, says, type Finding } from '../domain/problems.ts'
import type { Settings } from '../domain/settings.ts'
import { account } from './audit.ts'
import { calendars } from './calendars.ts'
import type { Runner } from './commit.ts'
import { decodeCursor, pageOf, type Page } from './cursor.ts'
import { tenantHere, type Db } from './db.ts'
import { NO_SUCH_NODE } from './nodes.ts'
import { orderRescheduling } from './reschedulings.ts'
import { findNode, findTarget } from './targets.ts'
import { tenant } from './tenants.ts'
import { transaction } from './transaction.ts'
import { nextVersion } from './versions.ts'

export interface PolicyView {
  id: string
  code: string
  version: number
  /** Where it was made; it rules there and below, until a nearer one does. */
  node: { id: string; code: string; name: string }
  body: Policy
  createdAt: Date
}

export interface PolicyInForce extends PolicyView {
  /** Of a node above the one asked about. */
  inherited: boolean
}

export interface PolicyVersion extends PolicyView {
  /** The newest of its node. */
  inForce: boolean
}

const COLUMNS = `p.id, p.code, p.version, p.body, p."createdAt", jsonb_build_object('id', n.id, 'code', n.code, 'name', n.name) AS node`
const FROM = `FROM policy p JOIN node n ON n."tenantId" = p."tenantId" AND n.id = p."nodeId"`

interface Stored extends Omit<PolicyView, 'body'> {
  body: unknown
  path: string
}

const viewOf = <T extends Stored>({ path: _, body, ...row }: T) => ({ ...row, body: readPolicy(body) })

export interface PoliciesQuery {
  /** Id or code; without one, those of all nodes. */
  node?: string | undefined
  cursor?: string | undefined
  limit: number
}

/**
 * The rules in force: of each code at each node the newest version, or, at a given node, of each code the nearest one.
 * @throws Problem not-found for a node that does not exist, cursor-unusable
 */
export async function listPolicies(db: Db, { node, cursor, limit }: PoliciesQuery): Promise<Page<PolicyInForce>> {
  const [code, path] = cursor === undefined ? ['', ''] : decodeCursor(cursor, /^[\w.-]+ (?:[\w.-]+\/)+$/).split(' ')
  const place = node === undefined ? undefined : await findNode(db, node)
  if (node !== undefined && !place) throw new Problem('not-found', { errors: [{ pointer: '/query/node', message: NO_SUCH_NODE }] })
  const { rows } = place
    ? await db.app.query<Stored>({
        name: 'policies_at',
        text: `SELECT DISTINCT ON (p.code) ${COLUMNS}, n.path ${FROM}
          WHERE p."tenantId" = $1 AND p.code > $2 AND n.code = ANY (string_to_array($3, '/')) ORDER BY p.code, length(n.path) DESC, p.version DESC LIMIT $4`,
        values: [tenantHere(), code, place.path, limit + 1],
      })
    : await db.app.query<Stored>({
        name: 'policies',
        text: `SELECT DISTINCT ON (p.code, n.path) ${COLUMNS}, n.path ${FROM}
          WHERE p."tenantId" = $1 AND (p.code, n.path) > ($2, $3) ORDER BY p.code, n.path, p.version DESC LIMIT $4`,
        values: [tenantHere(), code, path, limit + 1],
      })
  const { data, page } = pageOf(rows, limit, (row) => `${row.code} ${row.path}`)
  return { data: data.map((row) => ({ ...viewOf(row), inherited: place !== undefined && row.node.id !== place.id })), page }
}

/**
 * All versions of a rule at all nodes, or at one, the newest first.
 * @throws Problem not-found when there is none, cursor-unusable
 */
export async function listVersions(db: Db, code: string, { node, cursor, limit }: PoliciesQuery): Promise<Page<PolicyVersion>> {
  const place = node === undefined ? undefined : await findNode(db, node)
  if (node !== undefined && !place) throw new Problem('not-found', { errors: [{ pointer: '/query/node', message: NO_SUCH_NODE }] })
  const { rows } = await db.app.query<Stored & { inForce: boolean }>({
    name: 'policy_versions',
    text: `SELECT ${COLUMNS}, n.path,
        NOT EXISTS (SELECT FROM policy q WHERE q."tenantId" = p."tenantId" AND q.code = p.code AND q."nodeId" = p."nodeId" AND q.version > p.version) AS "inForce"
      ${FROM} WHERE p."tenantId" = $1 AND p.code = $2 AND ($3::uuid IS NULL OR p."nodeId" = $3) AND ($4::uuid IS NULL OR p.id < $4)
      ORDER BY p.id DESC LIMIT $5`,
    values: [tenantHere(), code, place?.id ?? null, cursor === undefined ? null : decodeCursor(cursor, /^[\da-f-]{36}$/), limit + 1],
  })
  if (rows.length === 0 && cursor === undefined) throw new Problem('not-found')
  const { data, page } = pageOf(rows, limit, ({ id }) => id)
  return { data: data.map(viewOf), page }
}

export interface NewPolicy {
  /** Id or code. */
  node: string
  code: string
  body: Policy
  /** Also to the requests that are open. */
  applyToOpen?: boolean | undefined
}

export interface WrittenPolicy {
  policy: PolicyView
  /** False when the body was in force there already: no new version is made. */
  isNew: boolean
  /** What moves the open requests, and says which: see /v1/operations. Null when that was not asked for. */
  operation: string | null
}

/**
 * The next version of a rule at a node and below. Requests filed before keep theirs, unless it is to apply to them too.
 * @throws Problem node-unknown, forbidden without `administer` over the node, validation-failed for what cannot be
 */
export async function putPolicy(db: Db, { node, code, body, applyToOpen = false }: NewPolicy, actor: Actor): Promise<WrittenPolicy> {
  const place = await findNode(db, node)
  if (!place) throw new Problem('node-unknown', { errors: [{ pointer: '/node', message: NO_SUCH_NODE }] })
  if (!administers(actor, place.path)) throw new Problem('forbidden')
  await checkPolicy(db, body, place.path)
  const rule = { tenantId: tenantHere(), code, nodeId: place.id }
  const order = (client: Runner) => applyToOpen
    ? orderRescheduling(client, { nodeId: place.id, reason: 'policy', scope: 'open', policyCode: code, personId: actor.kind === 'person' ? actor.id : null })
    : null
  const newest = await db.prisma.policy.findFirst({ where: rule, select: { id: true, body: true }, orderBy: { version: 'desc' } })
  if (newest && isDeepStrictEqual(readPolicy(newest.body), body)) return { policy: await readVersion(db, newest.id), isNew: false, operation: await order(db.app) }
  const id = uuidv7()
  let operation: string | null = null
  await nextVersion('policy_tenantId_code_nodeId_version_key', {
    newest: () => db.prisma.policy.findFirst({ where: rule, select: { version: true }, orderBy: { version: 'desc' } }),
    // The rule and the order to apply it: both or neither.
    write: (version) => transaction(db.app, async (client) => {
      await client.query({
        name: 'put_policy', text: `INSERT INTO policy ("tenantId", id, code, version, "nodeId", body) VALUES ($1, $2, $3, $4, $5, $6)`,
        values: [rule.tenantId, id, code, version, place.id, JSON.stringify(body)],
      })
      operation = await order(client)
      await account(client, actor, { action: 'policy.changed', object: 'policy', objectId: id, details: { code, version, nodeId: place.id, applyToOpen } })
    }),
  })
  return { policy: await readVersion(db, id), isNew: true, operation }
}

async function readVersion(db: Db, id: string): Promise<PolicyView> {
  const { rows: [row] } = await db.app.query<Stored>({ name: 'policy_version', text: `SELECT ${COLUMNS}, n.path ${FROM} WHERE p."tenantId" = $1 AND p.id = $2`, values: [tenantHere(), id] })
  if (!row) throw new Error(`policy ${id} does not exist`)
  return viewOf(row)
}

/**
 * What only the tenant's own data can tell: levels there are none of, and reminders that would come before the opening.
 * @throws Problem validation-failed, with pointers into a request whose member `body` it is
 */
export async function checkPolicy(db: Db, body: Policy, path: string): Promise<void> {
  const [{ settings }, { at }, from] = await Promise.all([tenant(db), calendars(db), now(db)])
  const early = unsayable(body, neverAfterOpening(body, at(path), from)).map(({ path: written, step }) =>
    ({ pointer: `/body/${written.join('/')}`, code: 'invalid', message: tooEarly(step, body.limits[step]) }))
  const errors = [...unknownLevels(body, settings), ...early, ...(await unknownBackstop(db, body, path))]
  if (errors.length > 0) throw new Problem('validation-failed', { errors })
}

const unknownLevels = ({ rungEveryAt }: Policy, { levels }: Settings): Finding[] =>
  Object.keys(rungEveryAt).filter((level) => !levels.some(({ code }) => code === level)).map((level) => ({
    pointer: `/body/rungEveryAt/${level}`, code: 'value',
    message: says(`没有这个层级，只能是 ${levels.map(({ code }) => code).join('、')}`, `No such level, expected one of ${levels.map(({ code }) => code).join(', ')}`),
  }))

async function unknownBackstop(db: Db, { backstop }: Policy, path: string): Promise<Finding[]> {
  const target = backstop === null ? undefined : await findTarget(db, backstop, path)
  return backstop === null || target?.organisationId ? [] : [{ pointer: '/body/backstop', code: 'value', message: says('没有这个组织', 'No such organisation') }]
}

/** The database's clock. */
export async function now(db: Db): Promise<Date> {
  const { rows } = await db.app.query<{ now: Date }>({ name: 'now', text: 'SELECT wishwall_now() AS now' })
  return rows[0]!.now
}
