import { v7 as uuidv7 } from 'uuid'
import type { Actor, PersonActor } from '../domain/actor.ts'
import { administers } from '../domain/places.ts'
import { Problem } from '../domain/problems.ts'
import { account } from './audit.ts'
import { decodeCursor, pageOf, type Page } from './cursor.ts'
import { tenantHere, type Db } from './db.ts'
import { UUID } from './load.ts'
import { NO_SUCH_NODE } from './nodes.ts'
import type { Place } from './places.ts'
import { findNode } from './targets.ts'
import { transaction } from './transaction.ts'
import { wall, type WallCard } from './wall.ts'

/** 驿站: a place to meet, with the wall of some node on its screen. */
export interface Venue {
  id: string
  name: string
  node: Place
  address: string | null
  /** In words, as on the door. */
  hours: string | null
  /** Whose wall hangs there. */
  wall: Place
  closedAt: Date | null
}

const VIEW = `v.id, v.name, v.address, v.hours, v."closedAt", jsonb_build_object('id', n.id, 'code', n.code, 'name', n.name) AS node, jsonb_build_object('id', w.id, 'code', w.code, 'name', w.name) AS wall`
const FROM = `FROM venue v JOIN node n ON n."tenantId" = v."tenantId" AND n.id = v."nodeId" JOIN node w ON w."tenantId" = v."tenantId" AND w.id = v."wallNodeId"`

export interface VenuesQuery {
  /** Id or code: there or below. */
  node?: string | undefined
  cursor?: string | undefined
  limit: number
}

/** Those that are open, newest first. @throws Problem not-found for a node that does not exist, cursor-unusable */
export async function listVenues(db: Db, { node, cursor, limit }: VenuesQuery): Promise<Page<Venue>> {
  const place = node === undefined ? undefined : await findNode(db, node)
  if (node !== undefined && !place) throw new Problem('not-found', { errors: [{ pointer: '/query/node', message: NO_SUCH_NODE }] })
  const { rows } = await db.app.query<Venue>({
    name: 'venues',
    text: `SELECT ${VIEW} ${FROM} WHERE v."tenantId" = $1 AND v."closedAt" IS NULL AND ($2::text IS NULL OR starts_with(n.path, $2)) AND ($3::uuid IS NULL OR v.id < $3) ORDER BY v.id DESC LIMIT $4`,
    values: [tenantHere(), place?.path ?? null, cursor === undefined ? null : decodeCursor(cursor, UUID), limit + 1],
  })
  return pageOf(rows, limit, ({ id }) => id)
}

/** Also one that has closed. @throws Problem not-found */
export async function readVenue(db: Db, id: string): Promise<Venue> {
  const { rows: [venue] } = await db.app.query<Venue>({ name: 'venue', text: `SELECT ${VIEW} ${FROM} WHERE v."tenantId" = $1 AND v.id = $2`, values: [tenantHere(), id] })
  if (!venue) throw new Problem('not-found')
  return venue
}

export interface NewVenue {
  name: string
  /** Id or code. */
  node: string
  address?: string | null | undefined
  hours?: string | null | undefined
  /** Id or code; the place itself when left out. */
  wall?: string | undefined
}

/** @throws Problem node-unknown, forbidden without `administer` over the place */
export async function createVenue(db: Db, { name, node, address, hours, wall: walled = node }: NewVenue, actor: Actor): Promise<Venue> {
  const [place, wallPlace] = await Promise.all([placeOf(db, '/node', node), placeOf(db, '/wall', walled)])
  if (!administers(actor, place.path)) throw new Problem('forbidden')
  const id = uuidv7()
  await transaction(db.app, async (client) => {
    await client.query({
      name: 'create_venue',
      text: `INSERT INTO venue ("tenantId", id, "nodeId", "wallNodeId", name, address, hours, "createdAt") VALUES ($1, $2, $3, $4, $5, $6, $7, wishwall_now())`,
      values: [tenantHere(), id, place.id, wallPlace.id, name, address, hours],
    })
    await account(client, actor, { action: 'venue.changed', object: 'venue', objectId: id, details: { nodeId: place.id, wallNodeId: wallPlace.id } })
  })
  return readVenue(db, id)
}

export interface VenueChange {
  name?: string | undefined
  address?: string | null | undefined
  hours?: string | null | undefined
  wall?: string | undefined
  /** Out of the lists, and opened again by false. */
  closed?: boolean | undefined
}

/** What is left out stays. @throws Problem not-found, node-unknown, forbidden */
export async function updateVenue(db: Db, id: string, { name, address, hours, wall: walled, closed }: VenueChange, actor: Actor): Promise<Venue> {
  const venue = await readVenue(db, id)
  const [place, wallPlace] = await Promise.all([placeOf(db, '/node', venue.node.id, true), walled === undefined ? undefined : placeOf(db, '/wall', walled)])
  if (!administers(actor, place.path)) throw new Problem('forbidden')
  await transaction(db.app, async (client) => {
    await client.query({
      name: 'update_venue',
      text: `UPDATE venue SET name = COALESCE($3, name), address = CASE WHEN $4 THEN $5 ELSE address END, hours = CASE WHEN $6 THEN $7 ELSE hours END, "wallNodeId" = COALESCE($8, "wallNodeId"),
        "closedAt" = CASE WHEN $9::bool IS NULL THEN "closedAt" WHEN $9 THEN COALESCE("closedAt", wishwall_now()) END WHERE "tenantId" = $1 AND id = $2`,
      values: [tenantHere(), id, name, address !== undefined, address, hours !== undefined, hours, wallPlace?.id, closed],
    })
    await account(client, actor, { action: 'venue.changed', object: 'venue', objectId: id, details: { wallNodeId: wallPlace?.id ?? venue.wall.id, closed: closed ?? null } })
  })
  return readVenue(db, id)
}

/** The wall of its place, and only that. @throws Problem not-found, cursor-unusable */
export async function venueWall(db: Db, id: string, page: { cursor?: string | undefined; limit: number }, claimer?: PersonActor): Promise<Page<WallCard>> {
  const venue = await readVenue(db, id)
  if (venue.closedAt) throw new Problem('not-found')
  return wall(db, { ...page, node: venue.wall.id }, claimer)
}

async function placeOf(db: Db, pointer: string, node: string, retired = false): Promise<{ id: string; path: string }> {
  const place = await findNode(db, node)
  if (!place && retired) throw new Problem('not-found')
  if (!place) throw new Problem('node-unknown', { errors: [{ pointer, message: NO_SUCH_NODE }] })
  return place
}
