import type { PersonActor } from '../domain/actor.ts'
import { Problem } from '../domain/problems.ts'
import type { Kind } from '../domain/request.ts'
import { claimerKinds } from '../domain/rules/claim.ts'
import * as catalogue from './catalogue.ts'
import { decodeCursor, pageOf, type Page } from './cursor.ts'
import { tenantHere, type Db } from './db.ts'
import { NO_SUCH_NODE } from './nodes.ts'
import { findNode } from './targets.ts'
import { tenant } from './tenants.ts'

interface Place { id: string; code: string; name: string }

export interface WallCard {
  id: string
  number: string
  kind: Kind
  item: { code: string; name: string }
  title: string
  text: string | null
  /** 小区/大院; null when it was placed above that level. */
  compound: Place | null
  slots: number
  slotsTaken: number
  placedAt: Date
  /** Without consent to it, only those who may claim it see it. */
  isPublic: boolean
}

export interface WallQuery {
  /** Id or code: the wall of this place and below. */
  node?: string | undefined
  cursor?: string | undefined
  limit: number
}

/**
 * What waits to be claimed, newest first. Columns are named one by one: nothing of the request but what stands here
 * may ever reach a wall, neither filed words nor persons, groups or doors.
 * @param claimer sees also what is not for everyone, where the wall reaches a branch of his that may claim by now
 * @throws Problem not-found for a `node` that does not exist, cursor-unusable
 */
export async function wall(db: Db, { node, cursor, limit }: WallQuery, claimer?: PersonActor): Promise<Page<WallCard>> {
  const { settings } = await tenant(db)
  const place = node === undefined ? undefined : await findNode(db, node)
  if (node !== undefined && !place) throw new Problem('not-found', { errors: [{ pointer: '/query/node', message: NO_SUCH_NODE }] })
  const { rows } = await db.app.query<WallCard>({
    name: cursor === undefined ? 'wall' : 'wall_on',
    text: `SELECT r.id, r.number, r.kind, jsonb_build_object('code', i.code, 'name', i.name) AS item, w.title, w.text, r.slots, r."slotsTaken", r."placedAt", w."isPublic",
        (SELECT jsonb_build_object('id', c.id, 'code', c.code, 'name', c.name) FROM node c
          WHERE c."tenantId" = r."tenantId" AND c.code = ANY (string_to_array(r.path, '/')) AND c.level = $2) AS compound
      FROM request r
      JOIN wall_entry w ON w."tenantId" = r."tenantId" AND w."requestId" = r.id AND w."takenDownAt" IS NULL
      JOIN item i ON i."tenantId" = r."tenantId" AND i.id = r."itemId"
      WHERE r."tenantId" = $1 AND r.state = 'open' AND NOT r.confidential AND r.kind <> 'mediation'
        AND ($3::text IS NULL OR starts_with(r.path, $3))
        AND (w."isPublic" OR EXISTS (SELECT FROM jsonb_to_recordset($5::jsonb) AS b("policyId" uuid, wave int, path text)
          WHERE b."policyId" = r."policyId" AND b.wave = r.wave AND (starts_with(b.path, w."scopePath") OR starts_with(w."scopePath", b.path))))
        ${cursor === undefined ? '' : 'AND r.id < $6'} ORDER BY r.id DESC LIMIT $4`,
    values: [
      tenantHere(), settings.wallLevel, place?.path ?? null, limit + 1, JSON.stringify(await branchesThatMay(db, claimer)),
      ...(cursor === undefined ? [] : [decodeCursor(cursor, ID)]),
    ],
  })
  return pageOf(rows, limit, ({ id }) => id)
}

/** A branch in which the claimer is verified as of a kind whose turn it is, under one of the rules that the wall goes by. */
interface Branch { policyId: string; wave: number; path: string }

async function branchesThatMay(db: Db, claimer: PersonActor | undefined): Promise<Branch[]> {
  if (!claimer || claimer.affiliations.length === 0) return []
  const { rows } = await db.app.query<{ policyId: string; wave: number }>({
    name: 'wall_rules',
    text: `SELECT DISTINCT r."policyId", r.wave FROM request r
      JOIN wall_entry w ON w."tenantId" = r."tenantId" AND w."requestId" = r.id AND w."takenDownAt" IS NULL AND NOT w."isPublic"
      WHERE r."tenantId" = $1 AND r.state = 'open'`,
    values: [tenantHere()],
  })
  const branches = await Promise.all(rows.map(async ({ policyId, wave }) => {
    const kinds = claimerKinds(await catalogue.policy(db, policyId), wave)
    return claimer.affiliations.filter(({ kind }) => kinds.includes(kind)).map(({ path }) => ({ policyId, wave, path }))
  }))
  return branches.flat()
}

/** PostgreSQL would refuse any other shape with an error of its own. */
const ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
