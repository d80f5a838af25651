import { v7 as uuidv7 } from 'uuid'
import type { Actor } from '../domain/actor.ts'
import { mayRegister } from '../domain/directory.ts'
import { Problem } from '../domain/problems.ts'
import { accountEach } from './audit.ts'
import { tenantHere, type Db } from './db.ts'
import { knownPeople } from './import-known.ts'
import type { Keyring } from './keyring.ts'
import { NO_SUCH_NODE } from './nodes.ts'
import { sealSubject } from './subjects.ts'
import { findNodes } from './targets.ts'

export interface Resident {
  name: string
  phone?: string | undefined
  door?: string | undefined
  /** Id or code. */
  node: string
}

/**
 * Many residents at once, each as `registerPerson` would take him in: without an account nothing but the place can be wrong.
 * Whoever is known there already by name, and phone or door, stays as he is.
 * @returns of each his id, or why he is refused
 */
export async function takeInResidents(db: Db, keyring: Keyring, residents: readonly Resident[], actor: Actor): Promise<(string | Problem)[]> {
  const places = await findNodes(db, residents.map(({ node }) => node))
  const placed = residents.map(({ node, ...personal }) => {
    const place = places.get(node)
    if (!place) return new Problem('node-unknown', { errors: [{ pointer: '/node', message: NO_SUCH_NODE }] })
    return mayRegister(actor, place.path) ? { nodeId: place.id, ...personal } : new Problem('forbidden')
  })
  const wanted = placed.filter((one): one is Exclude<typeof one, Problem> => !(one instanceof Problem))
  const known = new Map((await knownPeople(db, keyring, wanted)).map((id, index) => [wanted[index]!, id]))
  const fresh: { id: string; nodeId: string; row: object }[] = []
  // The same one twice in a list is one.
  const twins = new Map<string, string>()
  const outcomes = placed.map((one) => {
    if (one instanceof Problem) return one
    const { nodeId, ...personal } = one
    const said = personal.phone === undefined && personal.door === undefined ? uuidv7() : JSON.stringify(one)
    const there = known.get(one) ?? twins.get(said)
    if (there !== undefined) return there
    const id = uuidv7()
    twins.set(said, id)
    const { id: subjectId, key, kid, sealed, phone, namesKid, names } = sealSubject(keyring, personal)
    fresh.push({ id, nodeId, row: { id, nodeId, subjectId, kid, namesKid, key: hex(key), sealed: hex(sealed), phone: phone && hex(phone), names: names.map(hex) } })
    return id
  })
  if (fresh.length === 0) return outcomes
  await db.app.query({
    name: 'take_in_residents',
    text: `
      WITH r AS MATERIALIZED (SELECT * FROM jsonb_to_recordset($2::jsonb) AS r(id uuid, "nodeId" uuid, "subjectId" uuid, key text, kid text, sealed text, phone text, "namesKid" text, names jsonb)),
      s AS (INSERT INTO subject ("tenantId", id, key, kid, sealed, phone, "namesKid")
        SELECT $1::uuid, "subjectId", decode(key, 'hex'), kid, decode(sealed, 'hex'), decode(phone, 'hex'), "namesKid" FROM r),
      n AS (INSERT INTO subject_name ("tenantId", "subjectId", n, gram)
        SELECT $1::uuid, r."subjectId", g.o, decode(g.h, 'hex') FROM r CROSS JOIN LATERAL jsonb_array_elements_text(r.names) WITH ORDINALITY AS g(h, o))
      INSERT INTO person ("tenantId", id, "subjectId", "passwordOnce", "nodeId") SELECT $1::uuid, id, "subjectId", true, "nodeId" FROM r`,
    values: [tenantHere(), JSON.stringify(fresh.map(({ row }) => row))],
  })
  await accountEach(db.app, actor, fresh.map(({ id, nodeId }) => ({ action: 'person.created', object: 'person', objectId: id, details: { nodeId, account: false } })))
  return outcomes
}

const hex = (bytes: Buffer): string => bytes.toString('hex')
