import { capabilitiesOf, isCapability, reachesOf, type Reach, type Right } from '../../../src/domain/right.ts'
import { SHIPPED_ROLES } from '../../../src/domain/shipped.ts'
import type { Capability } from '../../../src/domain/machine.ts'
import type { Call } from './calls.ts'
import { PEOPLE, type Who } from './world.ts'

/** What the table of rights means, worked out from it and from what is written down here: nothing of the program decides anything. */

export interface Principal {
  name: string
  token: string
  kind: 'person' | 'app'
  /** Whose rights count. */
  who: Who | null
  throughApp: boolean
}

const CODES: Record<string, string> = { YQ: 'YQ/', SQ: 'YQ/SQ/', YQHF: 'YQ/SQ/YQHF/', YQHF2: 'YQ/SQ/YQHF2/', 'YQHF-02': 'YQ/SQ/YQHF/YQHF-02/', 'YQHF-02-1': 'YQ/SQ/YQHF/YQHF-02/YQHF-02-1/' }

/** How everybody stands to the requests besides by a duty. */
const PARTIES: Record<NonNullable<Call['request']>, Partial<Record<string, readonly Reach[]>>> = {
  dispatched: { resident: ['filer'], beneficiary: ['beneficiary'], guardian: ['guardian'], clerk: ['first_contact'], agent: ['assignee'] },
  closed: { resident: ['filer', 'beneficiary'], clerk: ['first_contact'], agent: ['handler'] },
  ofApp: { app: ['filer'] },
}

function confers({ who }: Principal, wanted: readonly Capability[], path: string | undefined): boolean {
  const duties: readonly string[] = (who !== null && (PEOPLE[who] as { at?: readonly string[] }).at) || []
  return duties.some((duty) => {
    const [role, where] = duty.split('@') as [string, string]
    const held = SHIPPED_ROLES.find(({ code }) => code === role)!.capabilities
    return wanted.some((one) => held.includes(one)) && (path === undefined || path.startsWith(CODES[where]!))
  })
}

const partiesOf = ({ name, who }: Principal, { request }: Call): readonly Reach[] => (request === undefined ? [] : (PARTIES[request][who ?? name] ?? []))

function owns({ name }: Principal, { owners = [] }: Call): boolean {
  return owners.includes('*') || owners.includes(name)
}

function reaches(principal: Principal, right: Right, call: Call, reach: Reach): boolean {
  if (reach === 'public' || reach === 'tenant') return true
  if (reach === 'own' || reach === 'assigned') return owns(principal, call)
  if (reach === 'app') return principal.kind === 'app'
  if (reach === 'subtree') return confers(principal, capabilitiesOf(right), call.at)
  if (reach === 'root') return confers(principal, capabilitiesOf(right), 'YQ/')
  if (reach === 'anyone') return sees(principal, right, call)
  const parties = partiesOf(principal, call)
  // Who has done the work is told that it is done: a verb of the assignee's that the state refuses.
  return parties.includes(reach) || (reach === 'assignee' && parties.includes('handler'))
}

const sees = (principal: Principal, { seenBy = [] }: Right, call: Call): boolean =>
  seenBy.some((by) => (isCapability(by) ? confers(principal, [by], call.at) : by === 'own' ? owns(principal, call) : by === 'app' ? principal.kind === 'app' : partiesOf(principal, call).includes(by)))

/** What a call is to come to: `allowed` is any answer but 401, 403 and 404. */
export function expected(principal: Principal, right: Right, call: Call): 'allowed' | 200 | 403 | 404 {
  const asMust = right.as === undefined || (principal.kind === 'person' && !(right.as === 'in-person' && principal.throughApp))
  if (asMust && reachesOf(right).some((reach) => reaches(principal, right, call, reach))) return 'allowed'
  if (right.otherwise === 'less') return 200
  if (right.otherwise !== 'not-found') return 403
  return sees(principal, right, call) || reachesOf(right).some((reach) => reaches(principal, right, call, reach)) ? 403 : 404
}
