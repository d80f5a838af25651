import type { Actor } from '../domain/actor.ts'
import { QUEUES, type Queue } from '../domain/queues.ts'
import { isSecret } from '../domain/secret.ts'
import type { RequestView } from '../domain/view.ts'
import { type Db } from './db.ts'
import { countQueues, listQueue } from './queues.ts'
import { tenant } from './tenants.ts'

/** Of a queue; a message to a group is to be read at a glance. */
const LINES = 10

/**
 * 今日待办, as text for a chat group: numbers, services, places and due times; nobody's name and nobody's words. Each
 * request once, under the most pressing of its queues.
 * @returns lines, those of the tenant's zone for times
 */
export async function digest(db: Db, actor: Actor): Promise<string> {
  const [{ settings: { zone } }, counts, { rows: [clock] }] = await Promise.all([
    tenant(db), countQueues(db, actor), db.app.query<{ now: Date }>({ name: 'digest_now', text: 'SELECT wishwall_now() AS now' }),
  ])
  const waiting = (Object.keys(QUEUES) as Queue[]).filter((queue) => counts[queue].count > 0)
  const pages = await Promise.all(waiting.map((queue) => listQueue(db, queue, { limit: LINES }, actor)))
  const time = new Intl.DateTimeFormat('zh-CN', { timeZone: zone, month: 'numeric', day: 'numeric', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' })
  const told = new Set<string>()
  const parts = waiting.map((queue, index) => {
    const { count, more } = counts[queue]
    const fresh = pages[index]!.data.filter(({ id }) => !told.has(id))
    for (const { id } of fresh) told.add(id)
    return [`【${QUEUES[queue]}】${count}${more ? '+' : ''} 件`, ...fresh.map((request) => line(request, time)), ...(more || count > pages[index]!.data.length ? ['……'] : [])].join('\n')
  })
  return [`待办 ${time.format(clock!.now)}`, ...(parts.length === 0 ? ['没有待办。'] : parts)].join('\n\n') + '\n'
}

function line({ number, item, node, deadlines, confidential, kind }: RequestView, time: Intl.DateTimeFormat): string {
  const due = deadlines.filter(({ standing, step }) => !standing && step !== 'wave' && step !== 'close').map(({ dueAt }) => dueAt.getTime())
  const what = isSecret({ confidential, kind }) ? '保密件' : [item.name, node?.name].filter(Boolean).join(' ')
  return `${number} ${what}${due.length === 0 ? '' : ` ${time.format(Math.min(...due))} 到期`}`
}
