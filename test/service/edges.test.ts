import type pg from 'pg'
import { v7 as uuidv7 } from 'uuid'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { SYSTEM, type PersonActor } from '../../src/domain/actor.ts'
import { isFinal, STATE_NAMES, triples, VERB_NAMES, type State, type Transition } from '../../src/domain/machine.ts'
import { act, file } from '../../src/service/requests.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { testPlace, type TestPlace } from '../place.ts'

/** The database refuses what the machine does not know, whoever asks: here the owner of the tables, in plain SQL. */

let database: TestDatabase
let town: TestPlace
let resident: PersonActor, staff: PersonActor, chief: PersonActor, member: PersonActor, worker: PersonActor
let lead: string

beforeAll(async () => {
  database = await freshDatabase()
  town = await testPlace(database)
  ;[resident, staff, chief, member, worker] = await Promise.all([
    town.person(), town.person({ can: ['view', 'dispatch', 'publish'] }), town.person({ at: 'S', can: ['view', 'approve'] }),
    town.person({ kinds: ['party_member'] }), town.person({ can: ['handle'] }),
  ])
  lead = (await town.inside(() => file(database.db, { item: 'companionship', title: '主件', node: 'U' }, resident))).id
})
afterAll(() => database.drop())

type Step = [Transition, object, () => PersonActor | typeof SYSTEM]
const accept: Step = ['accept', {}, () => staff]
const place: Step = ['place', { slots: 2 }, () => staff]
const dispatch: Step = ['dispatch', { get to() { return worker.id } }, () => staff]
const sign: Step = ['sign', {}, () => worker]
const complete: Step = ['complete', { outcome: '好' }, () => worker]

/** The verbs that lead from filing to each state. */
const WAYS: Record<State, Step[]> = {
  filed: [],
  returned: [['return', { reason: 'unclear' }, () => staff]],
  rejected: [['reject', { reason: 'out_of_scope' }, () => staff]],
  accepted: [accept],
  open: [accept, place],
  dispatched: [accept, dispatch],
  in_progress: [accept, dispatch, sign],
  completed: [accept, dispatch, sign, complete],
  closed: [accept, dispatch, sign, complete, ['close', {}, () => SYSTEM]],
  withdrawn: [['withdraw', {}, () => resident]],
  parked: [accept, ['ask-park', { until: new Date(Date.now() + 20 * 86_400_000), reason: '等审批' }, () => staff], ['grant-park', {}, () => chief]],
  merged: [['merge', { get into() { return lead } }, () => staff]],
}

interface Known { id: string; state: State; version: number }

async function bring(state: State): Promise<Known> {
  const { db } = database
  return town.inside(async () => {
    let view = await file(db, { item: 'companionship', title: '心愿', node: 'U' }, resident)
    for (const [verb, input, actor] of WAYS[state]) view = await act(db, verb, view.id, input as never, actor())
    expect(view.state).toBe(state)
    return view
  })
}

/** Runs and rolls back. */
async function asOwner<T>(run: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await database.owner.connect()
  try {
    await client.query('BEGIN')
    return await run(client)
  } finally {
    await client.query('ROLLBACK')
    client.release()
  }
}

/** SQLSTATE and constraint of the refusal, or `passed`. */
async function attempt(sql: string, values: unknown[] = []): Promise<string> {
  return asOwner((client) => client.query(sql, values).then(() => 'passed', ({ code, constraint }: pg.DatabaseError) => `${code} ${constraint ?? ''}`.trim()))
}

const CHECK = '23514', FOREIGN_KEY = '23503', UNIQUE = '23505', NOT_NULL = '23502', NOT_PERMITTED = '42501'

/**
 * Tries each triple in a transaction of its own inside the server, and undoes also what passed. Refused may only mean a
 * check or a foreign key: anything else is a fault of this test and ends it.
 */
const TRY_ALL = `
  CREATE FUNCTION pg_temp.passes(first boolean, tenant uuid, of uuid, at_seq int, finals text[]) RETURNS SETOF text LANGUAGE plpgsql AS $$
  DECLARE t record; fresh uuid;
  BEGIN
    FOR t IN SELECT verb, f, g FROM tried_verb CROSS JOIN (SELECT state AS f FROM tried_state) a CROSS JOIN (SELECT state AS g FROM tried_state) b LOOP
      BEGIN
        IF first THEN
          fresh := gen_random_uuid();
          WITH e AS (INSERT INTO event ("tenantId", "requestId", seq, verb, "fromState", "toState", at, cycle, path, "actorKind", data)
            VALUES (tenant, fresh, at_seq, t.verb, t.f, t.g, now(), 1, 'S/', 'system', '{}'))
          INSERT INTO request SELECT (jsonb_populate_record(r, jsonb_build_object('id', fresh, 'number', fresh::text, 'state', t.g, 'version', at_seq,
            'closedAt', CASE WHEN t.g = ANY (finals) THEN now() END))).* FROM request r WHERE id = of;
        ELSE
          INSERT INTO event ("tenantId", "requestId", seq, verb, "fromState", "toState", at, cycle, path, "actorKind", data)
            VALUES (tenant, of, at_seq, t.verb, t.f, t.g, now(), 1, 'S/', 'system', '{}');
        END IF;
        RETURN NEXT t.verb || ':' || t.f || ':' || t.g;
        RAISE EXCEPTION 'undo' USING ERRCODE = 'WWUND';
      EXCEPTION WHEN SQLSTATE 'WWUND' OR check_violation OR foreign_key_violation THEN NULL;
      END;
    END LOOP;
  END $$`

const VERBS = [...VERB_NAMES, 'bogus', '', 'FILE']
const STATES = [...STATE_NAMES, 'none', 'bogus']
let tried = 0

/** The triples that pass as the next event of a request, or with `first` as that of a new one. */
async function passing(known: Known, { first = false, seq, verbs = VERBS }: { first?: boolean; seq?: number; verbs?: string[] } = {}): Promise<string[]> {
  tried += verbs.length * STATES.length ** 2
  return asOwner(async (client) => {
    await client.query('CREATE TEMP TABLE tried_verb ON COMMIT DROP AS SELECT unnest($1::text[]) AS verb', [verbs])
    await client.query('CREATE TEMP TABLE tried_state ON COMMIT DROP AS SELECT unnest($1::text[]) AS state', [STATES])
    await client.query(TRY_ALL)
    const { rows } = await client.query<{ passes: string }>('SELECT pg_temp.passes($1, $2, $3, $4, $5) AS passes', [first, town.tenantId, known.id, seq ?? (first ? 1 : known.version + 1), STATE_NAMES.filter(isFinal)])
    return rows.map(({ passes }) => passes).sort()
  })
}

const edgesFrom = (state: State | 'none') => triples().filter(({ from }) => from === state).map(({ verb, from, to }) => `${verb}:${from}:${to}`).sort()

describe('the next event', () => {
  test.each(STATE_NAMES)('of a request in %s is one of the machine', { timeout: 240_000 }, async (state) => {
    expect(await passing(await bring(state))).toEqual(edgesFrom(state))
  })

  test('that is the first is a filing', { timeout: 240_000 }, async () => {
    expect(await passing(await bring('filed'), { first: true })).toEqual(['file:none:filed'])
  })

  test('comes after the last one: neither again nor with a gap', async () => {
    const known = await bring('accepted')
    expect(await passing(known, { seq: known.version + 2 })).toEqual([])
    expect(await passing(known, { first: true, seq: 2, verbs: ['file', 'accept'] })).toEqual([])
    expect(await attempt(EVENT, [town.tenantId, known.id, known.version, 'accept', 'filed', 'accepted'])).toBe(`${UNIQUE} event_pkey`)
  })

  test('was tried in every combination', () => {
    expect(Object.keys(WAYS).sort()).toEqual([...STATE_NAMES].sort())
    expect(tried).toBe((12 * VERBS.length + VERBS.length + VERBS.length + 2) * STATES.length ** 2)
    console.info(`edges: ${tried} events tried, ${triples().length} edges known`)
  })
})

const EVENT = `INSERT INTO event ("tenantId", "requestId", seq, verb, "fromState", "toState", at, cycle, path, "actorKind", data) VALUES ($1, $2, $3, $4, $5, $6, now(), 1, 'S/', 'system', '{}')`

describe('an event', () => {
  test('cannot say it left another state than the one before led to', async () => {
    const { id, version } = await bring('accepted')
    expect(await attempt(EVENT, [town.tenantId, id, version + 1, 'sign', 'dispatched', 'in_progress'])).toBe(`${FOREIGN_KEY} event_previous_fkey`)
    expect(await attempt(EVENT, [town.tenantId, id, version + 1, 'place', 'accepted', 'open'])).toBe('passed')
  })

  test.each([
    ['seq 1 from a state', 1, 'accept', 'filed', 'accepted', 'event_first_check'],
    ['filing again', 3, 'file', 'none', 'filed', 'event_first_check'],
    ['seq 0', 0, 'file', 'none', 'filed', 'event_first_check'],
    ['an unknown edge', 3, 'accept', 'accepted', 'open', 'event_edge_check'],
  ])('cannot be %s', async (_what, seq, verb, from, to, constraint) => {
    const { id } = await bring('accepted')
    expect(await attempt(EVENT, [town.tenantId, id, seq, verb, from, to])).toBe(`${CHECK} ${constraint}`)
  })

  test.each(['verb', 'fromState', 'toState', 'seq'])('always says its %s', async (column) => {
    const { id } = await bring('accepted')
    const values: Record<string, unknown> = { seq: 3, verb: 'place', fromState: 'accepted', toState: 'open', [column]: null }
    expect(await attempt(EVENT, [town.tenantId, id, values['seq'], values['verb'], values['fromState'], values['toState']])).toBe(NOT_NULL)
  })

  test('is of a request that is there', async () => {
    expect(await attempt(EVENT, [town.tenantId, uuidv7(), 1, 'file', 'none', 'filed'])).toBe(`${FOREIGN_KEY} event_tenantId_requestId_fkey`)
  })

  test('has an author if and only if a person is one', async () => {
    const { id } = await bring('filed')
    const by = (kind: string, actor: string | null) => attempt(EVENT.replace('"actorKind", data', '"actorKind", "actorId", data').replace(`'system', '{}'`, `$7, $8, '{}'`), [town.tenantId, id, 2, 'accept', 'filed', 'accepted', kind, actor])
    expect(await Promise.all([by('person', null), by('system', resident.id), by('app', resident.id), by('robot', null), by('person', resident.id), by('app', null)]))
      .toEqual([...Array(4).fill(`${CHECK} event_actorKind_check`), 'passed', 'passed'])
  })

  test.each(['wishwall_app', 'wishwall_system'])('is never changed nor deleted by %s', async (role) => {
    const { id } = await bring('accepted')
    for (const sql of [`UPDATE event SET data = '{}' WHERE "requestId" = $1`, `DELETE FROM event WHERE "requestId" = $1`, `UPDATE event SET verb = verb WHERE "requestId" = $1`]) {
      const refused = await asOwner(async (client) => {
        await client.query(`SET LOCAL ROLE ${role}`)
        await client.query(`SELECT set_config('wishwall.tenant', $1, true)`, [town.tenantId])
        const seen = await client.query('SELECT seq FROM event WHERE "requestId" = $1', [id])
        expect(seen.rowCount).toBe(2)
        return client.query(sql, [id]).catch(({ code }: pg.DatabaseError) => code)
      })
      expect(refused, sql).toBe(NOT_PERMITTED)
    }
  })
})

describe('a request', () => {
  test('stands where its newest event left it', async () => {
    const { id } = await bring('accepted')
    const to = (state: string, version: number, closed = 'NULL') => attempt(`UPDATE request SET state = $1, version = $2, "closedAt" = ${closed} WHERE id = $3`, [state, version, id])
    expect(await to('open', 2)).toBe(`${FOREIGN_KEY} request_newest_event_fkey`)
    expect(await to('accepted', 3)).toBe(`${FOREIGN_KEY} request_newest_event_fkey`)
    expect(await to('closed', 3, 'now()')).toBe(`${FOREIGN_KEY} request_newest_event_fkey`)
    expect(await to('gone', 2)).toBe(`${CHECK} request_state_check`)
  })

  test('has a state and a version', async () => {
    const { id } = await bring('filed')
    for (const column of ['state', 'version', 'number', 'cycle']) expect(await attempt(`UPDATE request SET "${column}" = NULL WHERE id = $1`, [id]), column).toBe(NOT_NULL)
  })

  test('has the time it was closed exactly when it is over', async () => {
    const closed = await bring('closed')
    const open = await bring('open')
    expect(await attempt(`UPDATE request SET "closedAt" = NULL WHERE id = $1`, [closed.id])).toBe(`${CHECK} request_final_check`)
    expect(await attempt(`UPDATE request SET "closedAt" = now() WHERE id = $1`, [open.id])).toBe(`${CHECK} request_final_check`)
  })

  test.each([
    ['kind', `'order'`], ['source', `'fax'`], ['targetGroup', `'cats'`], ['solved', `'perhaps'`], ['satisfaction', `'very'`], ['result', `'whatever'`],
  ])('has a known %s', async (column, value) => {
    const { id } = await bring('completed')
    expect(await attempt(`UPDATE request SET "${column}" = ${value} WHERE id = $1`, [id])).toBe(`${CHECK} request_${column}_check`)
  })

  test('has at least one slot, and no more taken than there are', async () => {
    const { id } = await bring('open')
    for (const change of ['slots = 0', '"slotsTaken" = 3', '"slotsTaken" = -1']) expect(await attempt(`UPDATE request SET ${change} WHERE id = $1`, [id]), change).toBe(`${CHECK} request_slots_check`)
  })

  test('is not deleted while it has a history', async () => {
    const { id } = await bring('filed')
    expect(await attempt('DELETE FROM request WHERE id = $1', [id])).toMatch(`${FOREIGN_KEY}`)
  })
})

describe('an assignment', () => {
  const INSERT = `INSERT INTO assignment ("tenantId", "requestId", seq, via, slot, "personId", path, status, since, until) VALUES ($1, $2, $3, 'claim', $4, $5, 'S/', $6, now(), $7)`
  test('is the only active one on its slot', async () => {
    const { id } = await bring('open')
    await town.inside(() => act(database.db, 'claim', id, {}, member))
    const add = (slot: number, status: string, until: Date | null) => attempt(INSERT, [town.tenantId, id, 2, slot, worker.id, status, until])
    expect(await add(1, 'active', null)).toBe(`${UNIQUE} assignment_active_slot_key`)
    expect(await add(2, 'active', null)).toBe('passed')
    expect(await add(1, 'released', new Date())).toBe('passed')
    expect(await add(2, 'active', new Date())).toBe(`${CHECK} assignment_status_check`)
    expect(await add(2, 'done', null)).toBe(`${CHECK} assignment_status_check`)
    expect(await add(2, 'maybe', new Date())).toBe(`${CHECK} assignment_status_check`)
  })
})

describe('a deadline', () => {
  test('has a next time exactly while it runs', async () => {
    const { id } = await bring('filed')
    const set = (change: string) => attempt(`UPDATE deadline SET ${change} WHERE "requestId" = $1 AND step = 'complete'`, [id])
    const refused = `${CHECK} deadline_running_check`
    expect(await set('"nextAt" = NULL')).toBe(refused)
    expect(await set('"closedAt" = now()')).toBe(refused)
    expect(await set('"stoodAt" = now()')).toBe(refused)
    expect(await set('"nextAt" = NULL, "closedAt" = now()')).toBe('passed')
    expect(await set('"nextAt" = NULL, "stoodAt" = now()')).toBe('passed')
    expect(await set(`step = 'lunch'`)).toBe(`${CHECK} deadline_step_check`)
  })
})
