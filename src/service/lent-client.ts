import type pg from 'pg'

type Callback = (error: Error | undefined, result?: pg.QueryResult) => void

/** What a transaction within the transaction says. */
const INNER: Record<string, string> = {
  BEGIN: 'SAVEPOINT inner_one', COMMIT: 'RELEASE SAVEPOINT inner_one',
  // Released too: what is undone next is the transaction around it.
  ROLLBACK: 'ROLLBACK TO SAVEPOINT inner_one; RELEASE SAVEPOINT inner_one',
}

/**
 * A connection that is in a transaction, lent to those who take it for one of the pool's: their statements go one after the
 * other, what fails is undone alone (who asked may know what to do about it), their transactions are savepoints, and giving
 * it back gives nothing back.
 * @param undone hears that a transaction within was undone, and its settings with it
 */
export function lent(client: pg.PoolClient, undone: () => void = () => {}): { client: pg.PoolClient; takeBack: () => void } {
  let turn: Promise<unknown> = Promise.resolve()
  let over = false
  const query = (...given: unknown[]): Promise<pg.QueryResult> | void => {
    const done = typeof given.at(-1) === 'function' ? (given.pop() as Callback) : undefined
    const result = turn.then(() => {
      if (over) throw new Error('asked after the transaction it was part of')
      return alone(client, given, undone)
    })
    turn = result.catch(() => {})
    if (!done) return result
    result.then((value) => done(undefined, value), (error: Error) => done(error))
  }
  const nothing = () => {}
  return {
    client: { query, release: nothing, on: nothing, once: nothing, off: nothing, removeListener: nothing } as unknown as pg.PoolClient,
    takeBack: () => { over = true },
  }
}

async function alone(client: pg.PoolClient, given: unknown[], undone: () => void): Promise<pg.QueryResult> {
  const [statement] = given as [string | { text: string }]
  const text = typeof statement === 'string' ? statement : statement.text
  if (text === 'ROLLBACK') undone()
  const inner = INNER[text]
  if (inner !== undefined) return client.query(inner)
  await client.query('SAVEPOINT one')
  try {
    const result = await (client.query as (...of: unknown[]) => Promise<pg.QueryResult>)(...given)
    await client.query('RELEASE SAVEPOINT one')
    return result
  } catch (error) {
    await client.query('ROLLBACK TO SAVEPOINT one; RELEASE SAVEPOINT one')
    throw error
  }
}
