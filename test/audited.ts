import type pg from 'pg'
import type { PersonActor } from '../src/domain/actor.ts'
import { AUDIT_ACTION_CODES } from '../src/domain/audit.ts'
import { linkOnce } from '../src/service/audit-chain.ts'
import { account } from '../src/service/audit.ts'
import { generateKeyring, parseKeyring } from '../src/service/keyring.ts'
import { relayOnce } from '../src/service/relay.ts'
import { act, file } from '../src/service/requests.ts'
import { freshDatabase, type TestDatabase } from './database.ts'
import { testPlace, type TestPlace } from './place.ts'

/** A town with a history behind it: requests, audit entries, and the chain over both. */
export interface AuditedTown {
  database: TestDatabase
  town: TestPlace
  auditor: PersonActor
  keyring: ReturnType<typeof parseKeyring>
  /** Requests with four events each, and an audit entry for every second. */
  live(requests: number): Promise<void>
  /** Relay and chain, to the end. */
  link(options?: Parameters<typeof linkOnce>[2]): Promise<void>
}

export async function auditedTown(): Promise<AuditedTown> {
  const database = await freshDatabase()
  const town = await testPlace(database)
  const [resident, staff, auditor] = await Promise.all([
    town.person(), town.person({ can: ['view', 'dispatch', 'publish'] }), town.person({ at: 'S', can: ['audit'] }),
  ])
  const keyring = parseKeyring(JSON.stringify(generateKeyring()))
  const one = async (number: number): Promise<void> => {
    const { db } = database
    const { id } = await file(db, { item: 'companionship', title: '心愿', node: 'U' }, resident)
    await act(db, 'accept', id, {}, staff)
    await act(db, 'place', id, {}, staff)
    // Each claims a few at most.
    await act(db, 'claim', id, {}, await town.person({ kinds: ['party_member'] }))
    if (number % 2 === 0) return
    const action = AUDIT_ACTION_CODES[number % AUDIT_ACTION_CODES.length]!
    await account(db.app, staff, { action, object: 'request', objectId: id, details: { number }, reason: number % 4 === 1 ? '核实' : null })
  }
  return {
    database, town, auditor, keyring,
    live: (requests) => town.inside(async () => { for (let number = 0; number < requests; number++) await one(number) }),
    link: async (options) => {
      while ((await relayOnce(database.db, options?.batch)).moved > 0);
      while ((await linkOnce(database.db, keyring, options)).linked > 0);
    },
  }
}

/** So that a check runs inside a transaction that is undone afterwards: what it begins and ends is a savepoint. */
export const withinTransaction = (client: pg.ClientBase): pg.ClientBase => new Proxy(client, {
  get: (target, name) => name !== 'query' ? Reflect.get(target, name) : (text: unknown, values?: unknown[]) => {
    if (typeof text === 'string' && text.startsWith('BEGIN')) return target.query('SAVEPOINT look')
    return text === 'ROLLBACK' ? target.query('ROLLBACK TO SAVEPOINT look') : target.query(text as string, values)
  },
})
