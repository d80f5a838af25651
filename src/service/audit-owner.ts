import pg from 'pg'

/** Milliseconds: the first connection only, for what is done then takes as long as it takes. */
const CONNECT_MS = 10_000

/**
 * Works on one connection as the owner of the tables, past row-level security and without limits of time: for commands of
 * the operator.
 * @param url DATABASE_URL
 */
export async function asOwner<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: CONNECT_MS, application_name: 'wish-wall operator', options: '-c TimeZone=UTC' })
  client.on('error', () => {}) // a lost connection also rejects the query in flight
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end().catch(() => {})
  }
}
