import type pg from 'pg'

type Callback = (error: Error | undefined, result?: pg.QueryResult) => void

/** What a transaction within the transaction says. The newest of that name is meant: they lie within one another. */
const INNER: Record<string, string> = {
  BEGIN: 'SAVEPOINT inner_one', COMMIT: 'RELEASE SAVEPOINT inner_one',
  // Released too: what is undone next is the transaction around it.
  ROLLBACK: 'ROLLBACK TO SAVEPOINT inner_one; RELEASE SAVEPOINT inner_one',
}

/** Reads change nothing that would have to be undone alone, and fail when the database does. */
const READS = /^\s*SELECT\b(?!.*(?:\bFOR\s+(?:UPDATE|SHARE|NO|KEY)\b|lock))/is

/**
 * A connection that is in a transaction, lent to those who take it for one of the pool's: their statements go one after the
 * other, what fails is undone alone (who asked may know what to do about it), their transactions are savepoints, and giving
 * it back gives nothing back; but who gives it back as no longer good (`release(true)`, see transaction.ts) has left his own
 * transaction open, and it is undone for him.
 * @param undone hears that a transaction within was undone, and its settings with it
 */
export function lent(client: pg.PoolClient, undone: () => void = () => {}): { client: pg.PoolClient; takeBack: () => void } {
  let turn: Promise<unknown> = Promise.resolve()
  let over = false
  const say = speaker(client, undone)
  const query = (...given: unknown[]): Promise<pg.QueryResult> | void => {
    const done = typeof given.at(-1) === 'function' ? (given.pop() as Callback) : undefined
    const result = turn.then(() => {
      if (over) throw new Error('asked after the transaction it was part of')
      return say(given)
    })
    turn = result.catch(() => {})
    if (!done) return result
    result.then((value) => done(undefined, value), (error: Error) => done(error))
  }
  const release = (broken?: Error | boolean): void => { if (broken === true) query('ROLLBACK', () => {}) }
  const nothing = () => {}
  return {
    client: { query, release, on: nothing, once: nothing, off: nothing, removeListener: nothing } as unknown as pg.PoolClient,
    takeBack: () => { over = true },
  }
}

/**
 * Says one statement after the other, in as few round trips as may be: a savepoint that nothing was undone to stays until the
 * next one takes its place, and the first statement of a transaction within has that transaction's own.
 */
function speaker(client: pg.PoolClient, undone: () => void): (given: unknown[]) => Promise<pg.QueryResult> {
  let standing: 'none' | 'one' | 'inner_one' = 'none'
  const instead = (savepoint: string): Promise<pg.QueryResult> => client.query(standing === 'one' ? `RELEASE SAVEPOINT one; ${savepoint}` : savepoint)
  const ask = client.query as (...of: unknown[]) => Promise<pg.QueryResult>
  return async (given) => {
    const [statement] = given as [string | { text: string }]
    const text = typeof statement === 'string' ? statement : statement.text
    const inner = INNER[text]
    if (inner !== undefined) {
      if (text === 'ROLLBACK') undone()
      const result = await (text === 'BEGIN' ? instead(inner) : client.query(inner))
      standing = text === 'BEGIN' ? 'inner_one' : 'none'
      return result
    }
    if (READS.test(text)) return ask.apply(client, given)
    if (standing !== 'inner_one') await instead('SAVEPOINT one')
    const savepoint = standing === 'inner_one' ? 'inner_one' : 'one'
    standing = 'one'
    try {
      const result = await ask.apply(client, given)
      if (savepoint === 'inner_one') standing = 'none'
      return result
    } catch (error) {
      await client.query(`ROLLBACK TO SAVEPOINT ${savepoint}`)
      standing = savepoint
      throw error
    }
  }
}
