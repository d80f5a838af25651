-- GENERATED from src/domain/machine.ts by `npm run generate`: do not edit.
ALTER TABLE "request" DROP CONSTRAINT IF EXISTS "request_state_check", ADD CONSTRAINT "request_state_check" CHECK ("state" IN ('filed', 'returned', 'rejected', 'accepted', 'open', 'dispatched', 'in_progress', 'parked', 'completed', 'closed', 'withdrawn', 'merged'));
ALTER TABLE "request" DROP CONSTRAINT IF EXISTS "request_final_check", ADD CONSTRAINT "request_final_check" CHECK (("state" IN ('rejected', 'closed', 'withdrawn')) = ("closedAt" IS NOT NULL));
ALTER TABLE "request" DROP CONSTRAINT IF EXISTS "request_kind_check", ADD CONSTRAINT "request_kind_check" CHECK ("kind" IN ('wish', 'service', 'errand', 'mediation', 'suggestion', 'activity'));
ALTER TABLE "request" DROP CONSTRAINT IF EXISTS "request_source_check", ADD CONSTRAINT "request_source_check" CHECK ("source" IN ('app', 'wall', 'mailbox', 'visit', 'phone', 'open311', 'import', 'staff'));
ALTER TABLE "request" DROP CONSTRAINT IF EXISTS "request_targetGroup_check", ADD CONSTRAINT "request_targetGroup_check" CHECK ("targetGroup" IN ('elderly', 'disabled_child', 'minor', 'disabled', 'special_hardship'));
ALTER TABLE "request" DROP CONSTRAINT IF EXISTS "request_result_check", ADD CONSTRAINT "request_result_check" CHECK ("result" IN ('realised', 'partly', 'explained', 'impossible'));
ALTER TABLE "request" DROP CONSTRAINT IF EXISTS "request_solved_check", ADD CONSTRAINT "request_solved_check" CHECK ("solved" IN ('solved', 'partly', 'unsolved'));
ALTER TABLE "request" DROP CONSTRAINT IF EXISTS "request_satisfaction_check", ADD CONSTRAINT "request_satisfaction_check" CHECK ("satisfaction" IN ('satisfied', 'fairly', 'dissatisfied'));
ALTER TABLE "event" DROP CONSTRAINT IF EXISTS "event_edge_check", ADD CONSTRAINT "event_edge_check" CHECK ("verb" || ':' || "fromState" || ':' || "toState" IN (
  'file:none:filed',
  'accept:filed:accepted',
  'reject:filed:rejected',
  'return:filed:returned',
  'resubmit:returned:filed',
  'place:accepted:open',
  'take-down:open:accepted',
  'dispatch:accepted:dispatched',
  'dispatch:open:dispatched',
  'redispatch:dispatched:dispatched',
  'redispatch:in_progress:dispatched',
  'claim:open:open',
  'claim:open:in_progress',
  'release:in_progress:open',
  'release:open:open',
  'sign:dispatched:in_progress',
  'respond:in_progress:in_progress',
  'complete:in_progress:completed',
  'follow-up:completed:closed',
  'follow-up:completed:accepted',
  'follow-up:completed:completed',
  'rate:completed:closed',
  'rate:completed:accepted',
  'rate:closed:closed',
  'close:completed:closed',
  'withdraw:filed:withdrawn',
  'withdraw:returned:withdrawn',
  'withdraw:accepted:withdrawn',
  'withdraw:open:withdrawn',
  'withdraw:dispatched:withdrawn',
  'withdraw:in_progress:withdrawn',
  'withdraw:parked:withdrawn',
  'withdraw:completed:withdrawn',
  'withdraw:merged:withdrawn',
  'remind:filed:filed',
  'remind:accepted:accepted',
  'remind:open:open',
  'remind:dispatched:dispatched',
  'remind:in_progress:in_progress',
  'remind:completed:completed',
  'escalate:filed:filed',
  'escalate:accepted:accepted',
  'escalate:open:open',
  'escalate:dispatched:dispatched',
  'escalate:in_progress:in_progress',
  'escalate:completed:completed'));
ALTER TABLE "deadline" DROP CONSTRAINT IF EXISTS "deadline_step_check", ADD CONSTRAINT "deadline_step_check" CHECK ("step" IN ('accept', 'resubmit', 'place', 'claim', 'sign', 'respond', 'complete', 'follow_up', 'close'));
ALTER TABLE "affiliation" DROP CONSTRAINT IF EXISTS "affiliation_kind_check", ADD CONSTRAINT "affiliation_kind_check" CHECK ("kind" IN ('party_member', 'volunteer', 'individual', 'enterprise', 'dual_unit'));
