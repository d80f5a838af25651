-- Webhooks by turns: an endpoint has a place in the feed of its own, and a delivery is written once, with what came of it,
-- where it was written four times (planned, leased, over, attempt logged).
-- Workers of the former version must be stopped first: they would send what these send. Any api gets along with it.

ALTER TABLE "webhook_endpoint" ADD COLUMN "lease" INTEGER NOT NULL DEFAULT 0, ADD COLUMN "leasedUntil" TIMESTAMPTZ(3);
-- Up to here every endpoint has its rows.
UPDATE "webhook_endpoint" SET "fromPosition" = greatest("fromPosition", (SELECT position FROM "cursor" WHERE name = 'webhooks'));
DELETE FROM "cursor" WHERE name = 'webhooks';

-- A delivery is kept or forgotten as a whole, with all its attempts.
ALTER TABLE "webhook_delivery" ADD COLUMN "log" JSONB NOT NULL DEFAULT '[]';
UPDATE "webhook_delivery" d SET "log" = a.log
  FROM (SELECT "tenantId", "endpointId", "deliveryId", jsonb_agg(jsonb_build_object('number', number, 'at', at, 'ms', ms, 'status', status, 'reason', reason, 'excerpt', excerpt) ORDER BY number) AS log
    FROM "webhook_attempt" GROUP BY 1, 2, 3) a
  WHERE d."tenantId" = a."tenantId" AND d."endpointId" = a."endpointId" AND d."id" = a."deliveryId";
DROP TABLE "webhook_attempt";

-- Its id is that of the event, so the primary key says that an event goes to an endpoint once.
DROP INDEX "webhook_delivery_tenantId_endpointId_position_key";
-- Deliveries only pass by: the old ones are found by the order in which they were written.
CREATE INDEX "webhook_delivery_endedAt_idx" ON "webhook_delivery" USING brin ("endedAt");

GRANT UPDATE ("fromPosition") ON "webhook_endpoint" TO wishwall_app;
GRANT UPDATE ("fromPosition", "lease", "leasedUntil") ON "webhook_endpoint" TO wishwall_system;
GRANT UPDATE ("log") ON "webhook_delivery" TO wishwall_system;
GRANT DELETE ON "webhook_delivery" TO wishwall_system;
