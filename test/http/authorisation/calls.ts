import { operationOf } from '../../../src/domain/derive.ts'
import { TRANSITIONS, verbOf, type Callable } from '../../../src/domain/machine.ts'
import { VERB_EXAMPLES } from '../../../src/http/verb-examples.ts'
import { newRobot, type Things } from './things.ts'
import { PATHS, PEOPLE, type World } from './world.ts'

/**
 * How each operation is called, and what of: enough for the answer to depend on the caller's rights alone. Whoever may, gets
 * any answer but 401, 403 and 404. Operations that everybody of the tenant (or everybody) may call need no entry.
 */
export interface Call {
  params?: Record<string, string>
  query?: string
  body?: object
  /** Path of the place that a capability must reach; left out where any place will do (lists). */
  at?: string
  /** Whose it is, by the names of principals. */
  owners?: readonly string[]
  /** Which request it is about: how everybody stands to it is said in `oracle.ts`. */
  request?: 'dispatched' | 'closed' | 'ofApp'
  /** What is done once for all callers is made anew for each: returns the params. */
  fresh?: () => Promise<Record<string, string>>
  /** There is none: whoever has the right hears 404. */
  missing?: true
}

const P = PATHS.compound
const NOBODY = '0195f2a0-7c1e-7abc-8def-0123456789ab'
/** They find it in their list. */
export const RESIDENT = ['resident', 'appForResident']

/** Whoever holds a duty, over a place or in an organisation. */
const ON_DUTY = Object.entries(PEOPLE).flatMap(([name, who]) => ('at' in who || 'in' in who ? [name] : []))

export function callsOf(world: World, things: Things): Record<string, Call | Call[]> {
  const { ids, organisations, ok, token } = world
  const id = (value: string) => ({ params: { id: value } })
  const requests: Call[] = (['dispatched', 'closed', 'ofApp'] as const).map((request) => ({ ...id(things[request].id), request, at: PATHS.unit }))
  const endpoints = (extra: Call = {}): Call[] => [{ ...extra, params: { id: things.endpoint, ...extra.params }, at: P }, { ...extra, params: { id: things.endpointOfApp, ...extra.params }, at: PATHS.street, owners: ['app'] }]
  const endpoint = { ...id(things.endpoint), at: P }
  const delivery: Call = { params: { id: things.endpoint, delivery: things.delivery }, at: P }
  const robot: Call = { ...id(things.robot), at: P }
  const operation: Call = { ...id(things.operation), at: P }
  const resident: Call = { ...id(ids.resident), at: PATHS.unit, owners: RESIDENT }
  const watched: Call = { query: '?node=YQHF', at: P }
  const victim: Call = { ...id(ids.victim), at: P }
  const duty: Call = { ...id(things.duty), at: P }
  const enrolment: Call = { ...id(things.enrolment), at: P, owners: RESIDENT }
  const client: Call = { ...id('victim-app'), at: PATHS.street }
  const key: Call = { params: { id: 'victim-app', key: things.key }, at: PATHS.street }

  return {
    getMe: { owners: ['*'] }, changePassword: { owners: ['*'], body: { current: 'x', password: '墙上的灯今晚还亮着吗' } },
    enrolTotp: { owners: ['*'] }, confirmTotp: { owners: ['*'], body: { code: '000000' } }, removeTotp: { owners: ['*'], body: { code: '000000' } },
    listMyNotifications: {}, readMyNotification: { ...id(things.notification), owners: RESIDENT }, readMyNotifications: { body: { upTo: things.notification }, owners: RESIDENT },
    listRequests: {}, getRequest: requests, listRequestEvents: requests, getRequestDurations: requests, getRequestDetails: requests, listRequestAttachments: requests, listCandidates: requests,
    listDuplicates: requests, listDuplicatePairs: {}, listMyAssignments: {}, listMyQueues: {}, listMyQueue: { params: { queue: 'to_accept' } }, getMyDigest: {},
    listEvents: {}, streamEvents: {},
    createWebhookEndpoint: { body: { url: 'http://127.0.0.1:9/x', eventTypes: ['request.*'], node: 'YQHF' }, at: P, owners: ['app', 'otherApp'] },
    listWebhookEndpoints: { owners: ['app', 'otherApp'] },
    getWebhookEndpoint: endpoints(), updateWebhookEndpoint: endpoints({ body: { description: '试' } }), pauseWebhookEndpoint: endpoints(), resumeWebhookEndpoint: endpoints(),
    disableWebhookEndpoint: endpoint, rotateWebhookSecret: endpoints(), testWebhookEndpoint: endpoints(), listWebhookDeliveries: endpoints(),
    getWebhookDelivery: delivery, redeliverWebhook: delivery, replayWebhooks: endpoints({ body: { from: '2026-11-01T00:00:00Z', to: '2026-11-02T00:00:00Z' } }),
    createRobot: { body: newRobot('第二群'), at: P }, listRobots: {},
    getRobot: robot, updateRobot: { ...robot, body: { name: '网格群' } }, testRobot: robot, listRobotMessages: robot,
    deleteRobot: { at: P, fresh: async () => ({ id: (await ok(token('admin'), 'POST', '/v1/robots', newRobot('临时'))).id as string }) },
    putQuietHours: { body: { node: 'YQHF', begins: '21:30', ends: '07:30', workingTimeOnly: false }, at: P }, deleteQuietHours: { query: '?node=YQHF', at: P },
    createNode: { body: { parent: 'YQHF', code: 'YQHF-99', name: '99号楼', level: 'building' }, at: P },
    putNodePoint: { ...id('YQHF'), body: { lng: 118.3412, lat: 35.0541, crs: 'gcj02' }, at: P },
    getMyContactCards: { owners: ['*'] }, putMyContactCard: { owners: ON_DUTY, body: { fields: [], audience: 'residents' } },
    putContactSettings: { body: { filingLink: null }, at: PATHS.street },
    createVenue: { body: { name: '驿站', node: 'YQHF' }, at: P }, updateVenue: { ...id(things.venue), body: { hours: '每天' }, at: P },
    createCampaign: { body: { node: 'YQHF', code: 'NEW-CAMPAIGN', name: '行动', from: '2026-01-01T00:00:00Z', to: '2099-01-01T00:00:00Z' }, at: P }, updateCampaign: { ...id(things.campaign), body: { name: '行动' }, at: P },
    // the resident's enrolment has been verified on the way: he helps as a volunteer by then
    signUpForCampaign: { ...id(things.campaign), owners: ['member', ...RESIDENT] }, withdrawFromCampaign: { ...id(things.campaign), owners: ['*'] }, listCampaignSignUps: { ...id(things.campaign), at: P },
    createOrganisation: { body: { node: 'YQHF', code: 'NEW-ORG', name: '新组织', kind: 'volunteer_team' }, at: P },
    putPolicy: { params: { code: 'standard' }, body: { node: 'YQHF', body: { limits: { complete: '6wd' } } }, at: P },
    putCalendarHours: { body: { node: 'YQHF', week: { 6: ['09:00-12:00'] } }, at: P },
    putCalendarDay: { params: { date: '2026-12-05' }, body: { node: 'YQHF', kind: 'workday', name: '值班' }, at: P },
    importCalendar: { body: { year: 2027, node: 'YQHF', dryRun: true, days: [{ name: '元旦', date: '2027-01-01', isOffDay: true }] }, at: P },
    getOperation: operation, listOperationRequests: operation,
    createPerson: { body: { name: '王示例', node: 'YQHF' }, at: P },
    listPeople: {}, getPerson: resident, updatePerson: { ...resident, body: { phone: '13900139000' } },
    suspendPerson: victim, resumePerson: victim, resetPassword: victim, unlockPerson: victim, resetTotp: victim,
    getRates: watched, getRateTrend: watched, getHotspots: watched, getRecurring: watched, listRateRequests: { ...watched, params: { rate: 'on_time' } },
    getCreditRanking: { query: '?of=person&node=YQHF', at: P }, getCredit: { query: `?of=person&id=${ids.resident}`, at: PATHS.unit, owners: RESIDENT }, getMyCredit: { owners: ['*'] },
    createHouseholds: { body: { households: [{ node: 'YQHF', door: '1' }] }, at: P }, listHouseholds: {}, getHousehold: { ...id(things.household), at: PATHS.unit },
    linkHouseholds: { body: { person: ids.victim, households: [things.household] }, at: PATHS.unit }, unlinkHouseholds: { body: { person: ids.victim, households: [things.household] }, at: PATHS.unit },
    fileVisits: { body: [{ clientId: 'v', household: '0195f2a0-7c1e-7abc-8def-0123456789ac', visitedAt: '2026-11-01T00:00:00Z', result: 'not_home' }] }, listVisits: {},
    getVisitCoverage: { query: '?node=YQHF&from=2026-11-01&to=2026-11-30', at: P },
    getImportTemplate: { params: { name: 'nodes.xlsx' } }, createImport: { query: '?kind=nodes' }, getImport: { ...id(NOBODY), missing: true },
    exportRequests: { query: '?node=YQHF', at: P }, exportLedger: { query: '?node=YQHF', at: P }, exportVisits: { query: '?node=YQHF', at: P }, exportPeople: { query: '?node=YQHF', at: P }, exportHouseholds: { query: '?node=YQHF', at: P },
    exportNodes: { query: '?node=YQHF', at: P }, exportOrganisations: { query: '?node=YQHF', at: P }, exportDuties: { query: '?node=YQHF', at: P }, exportContacts: { query: '?node=YQHF', at: P },
    exportVenues: { query: '?node=YQHF', at: P }, exportCampaigns: { query: '?node=YQHF', at: P }, exportEnrolments: { query: '?node=YQHF', at: P }, exportCredit: { query: '?node=YQHF', at: P },
    exportSkills: {}, exportItems: {},
    listAudit: { at: PATHS.street }, listAuditCheckpoints: { at: PATHS.street },
    getSecuritySettings: { at: PATHS.street }, putSecuritySettings: { body: { totpRequired: 'none', separateAdmins: false }, at: PATHS.street },
    createIdentityProvider: { body: { name: '区', issuer: 'https://127.0.0.1:9', audience: 'wish-wall' }, at: PATHS.street }, listIdentityProviders: { at: PATHS.street },
    getIdentityProvider: { ...id(NOBODY), at: PATHS.street, missing: true }, updateIdentityProvider: { ...id(NOBODY), body: { enabled: true }, at: PATHS.street, missing: true },
    putRole: { params: { code: 'helper' }, body: { name: '帮手', capabilities: ['view'] }, at: PATHS.street },
    listDuties: {}, getDuty: duty, createDuty: { body: { person: ids.victim, role: 'caller', node: 'YQHF' }, at: P },
    endDuty: duty, setStandIn: { ...duty, body: { person: ids.spare } }, endStandIn: duty,
    createEnrolment: { body: { kind: 'individual', organisation: 'YQHF-DZB' }, owners: ['*'] },
    listEnrolments: {}, getEnrolment: enrolment, verifyEnrolment: enrolment, rejectEnrolment: { ...enrolment, body: { reason: 'other' } }, endEnrolment: enrolment, revealEnrolment: { ...enrolment, body: { reason: 'verify' } },
    createItem: { body: { code: 'new-item', name: '新项目', kind: 'service', mode: 'dispatch', category: '试', policy: 'standard' }, at: PATHS.street },
    createSkill: { body: { code: 'knitting', name: '编织' }, at: PATHS.street },
    listSkillHolders: { params: { code: 'electrics' } },
    declareSkill: [
      { params: { code: 'electrics' }, body: { person: ids.resident, level: 2 }, at: PATHS.unit, owners: RESIDENT },
      { params: { code: 'electrics' }, body: { organisation: organisations['YZ-PROPERTY'], level: 2 }, at: P, owners: ['agent'] },
    ],
    endSkill: {
      at: PATHS.unit, owners: RESIDENT,
      fresh: async () => ({ code: 'errands', id: (await ok(token('resident'), 'POST', '/v1/skills/errands/holders', { person: ids.resident, level: 1 })).id as string }),
    },
    revealRequest: { ...id(things.dispatched.id), body: { reason: 'contact' }, request: 'dispatched', at: PATHS.unit },
    revealPerson: { ...resident, body: { reason: 'verify' } }, exportPerson: { ...victim, body: { reason: 'subject_request' } }, erasePerson: { ...victim, body: { reason: 'asked' } },
    exportMe: { owners: ['*'] }, eraseMe: { owners: ['*'], body: { confirm: false } },
    createClient: { body: { clientId: 'one-more', name: '示例', scopes: ['requests:read'] }, at: PATHS.street }, listClients: { at: PATHS.street }, getClient: client,
    updateClient: { ...client, body: { name: '示例' } }, rotateClientSecret: client, createApiKey: { ...client, body: { name: '脚本' } }, listApiKeys: client,
    revokeApiKey: key, revokeClient: client,
    ...Object.fromEntries(TRANSITIONS.map((verb) => [operationOf(verb), verbCall(verb, things)])),
  }
}

/**
 * A verb is called where its state refuses it, so that whoever may call it hears 409 and all stands as before: on the
 * dispatched request, where its handler has it, or on the closed one.
 */
function verbCall(verb: Callable, things: Things): Call {
  const from = new Set(verbOf(verb).edges.flatMap((edge): readonly string[] => edge.from))
  const request = from.has('dispatched') ? 'closed' as const : 'dispatched' as const
  if (from.has(request)) throw new Error(`${verb} is possible in both states: think of another request`)
  const body = verb === 'merge' ? { into: things.ofApp.number } : VERB_EXAMPLES[verb].body
  return { params: { id: things[request].id }, body, request, at: PATHS.unit }
}
