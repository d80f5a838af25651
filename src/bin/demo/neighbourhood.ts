import { SYSTEM } from '../../domain/actor.ts'
import type { SHIPPED_SKILLS } from '../../domain/shipped.ts'
import { signUp } from '../../service/campaign-sign-ups.ts'
import { createCampaign } from '../../service/campaigns.ts'
import { putContactCard } from '../../service/contact-cards.ts'
import type { Db } from '../../service/db.ts'
import { createHouseholds, linkHouseholds } from '../../service/households.ts'
import type { Keyring } from '../../service/keyring.ts'
import { declareSkill } from '../../service/skills.ts'
import { createVenue } from '../../service/venues.ts'
import { fileVisit } from '../../service/visits.ts'
import type { Who } from './cast.ts'
import { CAMPAIGN } from './history.ts'
import { COMPOUND } from './places.ts'
import type { Stage } from './story.ts'

/** What hangs on the wall besides wishes: the station (S0), the board of who is responsible, and what the winter asks for. */

const DAY = 86_400_000

/** Station and campaign, as old as the street. */
export async function begun(db: Db): Promise<void> {
  const now = Date.now()
  await createVenue(db, { name: '党员萤火驿站', node: COMPOUND, address: '银雀华府南门内一层', hours: '每天 9:00–20:00' }, SYSTEM)
  await createCampaign(db, {
    node: COMPOUND, code: CAMPAIGN, name: '温暖过冬', items: ['small-gift', 'small-repair'],
    from: new Date(now - 40 * DAY), to: new Date(now + 90 * DAY), targets: { completed: 20, beneficiaries: 30 }, capacity: 20,
  }, SYSTEM)
}

/** A number that belongs to nobody. */
const PHONE = '13800138000'

const ON_THE_BOARD: readonly { who: Who; fields: ('name' | 'phone')[]; audience: 'residents' | 'public' }[] = [
  { who: 'headOfUnit', fields: ['name', 'phone'], audience: 'residents' },
  { who: 'headOf1', fields: ['name', 'phone'], audience: 'public' },
  { who: 'headOf3', fields: ['name'], audience: 'public' },
  { who: 'secretary', fields: ['name', 'phone'], audience: 'public' },
  { who: 'gridWorker', fields: ['name', 'phone'], audience: 'public' },
  { who: 'headOf6And7', fields: ['name', 'phone'], audience: 'public' },
  { who: 'propertyManager', fields: ['name', 'phone'], audience: 'public' },
  { who: 'villageSecretary', fields: ['name'], audience: 'public' },
]

/** 敲门问需: doors of the first tower, who looks after some of them, and a round that was made. */
export async function doors({ db, actor, id }: Stage, keyring: Keyring): Promise<void> {
  const made = await createHouseholds(db, keyring, ['YQHF-01-1', 'YQHF-01-2'].flatMap((node) => ['101', '102', '201', '202'].map((door) => ({ node, door }))), SYSTEM)
  await linkHouseholds(db, made.slice(0, 4).map((household) => household.id), id('memberA'), true, SYSTEM)
  const at = (hoursAgo: number) => new Date(Date.now() - hoursAgo * 3_600_000)
  await Promise.all((['met', 'not_home', 'refused'] as const).map((result, n) =>
    fileVisit(db, keyring, { clientId: `round-1-${n}`, household: made[n]!.id, visitedAt: at(30 - n), result }, actor('headOf1'))))
}

const CAN: readonly { who: Who; skill: keyof typeof SHIPPED_SKILLS; level: number }[] = [
  { who: 'volunteerA', skill: 'electrics', level: 4 }, { who: 'volunteerB', skill: 'appliance-repair', level: 3 }, { who: 'memberA', skill: 'care', level: 3 },
  { who: 'memberB', skill: 'tutoring', level: 5 }, { who: 'individual', skill: 'haircut', level: 4 }, { who: 'mediator', skill: 'mediation', level: 5 },
]

/** 红色管家技能库 (S2): who can do what, as the branch has seen for itself; one has only said so. */
export async function talents({ db, actor, id }: Stage, keyring: Keyring): Promise<void> {
  for (const { who, skill, level } of CAN) await declareSkill(db, keyring, skill, { person: id(who), level }, actor('secretary'))
  await declareSkill(db, keyring, 'care', { organisation: 'YINGGUANG', level: 4 }, actor('secretary'))
  await declareSkill(db, keyring, 'errands', { person: id('volunteerB'), level: 3 }, actor('volunteerB'))
}

/** Who has agreed to stand on the board, and who helps this winter. */
export async function boards({ db, actor }: Stage, keyring: Keyring): Promise<void> {
  await Promise.all(ON_THE_BOARD.map(({ who, fields, audience }) => putContactCard(db, keyring, { fields, audience, workPhone: PHONE }, actor(who))))
  await Promise.all((['volunteerA', 'volunteerB', 'memberA', 'memberB'] as const).map((who) => signUp(db, CAMPAIGN, actor(who))))
}
