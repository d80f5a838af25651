import type { Actor } from '../domain/actor.ts'
import { administers } from '../domain/places.ts'
import { Problem } from '../domain/problems.ts'
import { tenantHere, type Db } from './db.ts'
import { isId } from './load.ts'
import { NO_SUCH_NODE } from './nodes.ts'
import type { Place } from './places.ts'

/** A place whose calendar is asked for or kept. */
export interface CalendarPlace extends Place {
  path: string
}

/** By id or code, the root when none is named; undefined when there is none. */
async function find(db: Db, node: string | undefined): Promise<CalendarPlace | null> {
  const which = node === undefined ? { parentId: null } : isId(node) ? { id: node } : { code: node }
  return db.prisma.node.findFirst({ where: { tenantId: tenantHere(), ...which }, select: { id: true, code: true, name: true, path: true } })
}

/** Whose calendar is read: the root's when none is named. @throws Problem not-found at /query/node */
export async function placeToRead(db: Db, node: string | undefined): Promise<CalendarPlace> {
  const place = await find(db, node)
  if (!place) throw new Problem('not-found', { errors: [{ pointer: '/query/node', message: NO_SUCH_NODE }] })
  return place
}

/** Whose calendar is changed. @throws Problem node-unknown at the pointer, forbidden without `administer` over it */
export async function placeToKeep(db: Db, node: string | undefined, actor: Actor, pointer: string): Promise<CalendarPlace> {
  const place = await find(db, node)
  if (!place) throw new Problem('node-unknown', { errors: [{ pointer, message: NO_SUCH_NODE }] })
  if (!administers(actor, place.path)) throw new Problem('forbidden')
  return place
}

export const shownPlace = ({ id, code, name }: CalendarPlace): Place => ({ id, code, name })
