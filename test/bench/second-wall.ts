import { personActor } from '../../src/service/actors.ts'
import { inTenant, openDatabase, TenantPool, type Db } from '../../src/service/db.ts'
import { list } from '../../src/service/list.ts'
import { find } from '../../src/service/requests.ts'

/** What row-level security costs: the product's own reading, as the app's role and as one that walks past the wall, in turn. */
export async function wallCost(url: string, town: { tenantId: string; staff: string; compound: { code: string } }, ids: readonly string[], { rounds = 5, count = 1_500 } = {}): Promise<string> {
  const behind = openDatabase({ url, connections: 4 })
  // The owner's role: the same statements, plans and connections, and no policy on them.
  const past = new TenantPool({ connectionString: url, max: 4, options: '-c plan_cache_mode=force_generic_plan -c jit=off -c TimeZone=UTC' })
  const without = Object.create(behind, { app: { value: past } }) as Db
  try {
    return await inTenant(town.tenantId, async () => {
      const actor = (await personActor(behind, town.staff, null))!
      const jobs: Record<string, (db: Db, n: number) => Promise<unknown>> = {
        get: (db, n) => find(db, ids[n % ids.length]!, actor),
        'list of 20': (db) => list(db, { node: town.compound.code, state: ['filed'], limit: 20 }, actor),
      }
      const lines: string[] = []
      for (const [name, job] of Object.entries(jobs)) {
        const times: Record<'with' | 'without', number[]> = { with: [], without: [] }
        for (let round = 0; round <= rounds; round++) {
          for (const [way, db] of [['with', behind], ['without', without]] as const) {
            const start = performance.now()
            for (let n = 0; n < count; n += 4) await Promise.all([0, 1, 2, 3].map((k) => job(db, n + k)))
            if (round > 0) times[way].push((performance.now() - start) / count)
          }
        }
        const [a, b] = [middle(times.with), middle(times.without)]
        lines.push(`${name.padEnd(11)} with row-level security ${(a * 1000).toFixed(0)} µs, without ${(b * 1000).toFixed(0)} µs: ${(a / b).toFixed(3)}`)
      }
      return lines.join('\n')
    })
  } finally {
    await past.end()
    await behind.close()
  }
}

const middle = (times: number[]): number => times.sort((a, b) => a - b)[Math.floor(times.length / 2)]!
