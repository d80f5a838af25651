-- Webhooks: endpoints, their secrets, deliveries and attempts. Non-breaking: new tables only.

CREATE TABLE "webhook_endpoint" (
    "tenantId" UUID NOT NULL,
    "id" UUID NOT NULL,
    "clientId" UUID,
    "personId" UUID,
    "nodeId" UUID NOT NULL,
    "url" TEXT NOT NULL,
    "eventTypes" TEXT[],
    "ordered" BOOLEAN NOT NULL,
    "ratePerSecond" INTEGER,
    "description" TEXT,
    "algorithm" TEXT NOT NULL,
    "status" TEXT NOT NULL,
    "disabledReason" TEXT,
    "disabledAt" TIMESTAMPTZ(3),
    "fromPosition" BIGINT NOT NULL,
    "failures" INTEGER NOT NULL DEFAULT 0,
    "failingSince" TIMESTAMPTZ(3),
    "warnings" INTEGER NOT NULL DEFAULT 0,
    "width" INTEGER NOT NULL,
    "paceAt" TIMESTAMPTZ(3) NOT NULL,
    "createdAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "webhook_endpoint_pkey" PRIMARY KEY ("tenantId","id")
);

CREATE TABLE "webhook_secret" (
    "tenantId" UUID NOT NULL,
    "endpointId" UUID NOT NULL,
    "id" UUID NOT NULL,
    "kid" TEXT NOT NULL,
    "sealed" BYTEA,
    "publicKey" TEXT,
    "createdAt" TIMESTAMPTZ(3) NOT NULL,
    "expiresAt" TIMESTAMPTZ(3),

    CONSTRAINT "webhook_secret_pkey" PRIMARY KEY ("tenantId","endpointId","id")
);

CREATE TABLE "webhook_delivery" (
    "tenantId" UUID NOT NULL,
    "endpointId" UUID NOT NULL,
    "id" UUID NOT NULL,
    "position" BIGINT,
    "type" TEXT NOT NULL,
    "state" TEXT NOT NULL,
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "claims" INTEGER NOT NULL DEFAULT 0,
    "nextAt" TIMESTAMPTZ(3),
    "createdAt" TIMESTAMPTZ(3) NOT NULL,
    "endedAt" TIMESTAMPTZ(3),

    CONSTRAINT "webhook_delivery_pkey" PRIMARY KEY ("tenantId","endpointId","id")
);

CREATE TABLE "webhook_attempt" (
    "tenantId" UUID NOT NULL,
    "endpointId" UUID NOT NULL,
    "deliveryId" UUID NOT NULL,
    "number" INTEGER NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL,
    "ms" INTEGER NOT NULL,
    "status" INTEGER,
    "reason" TEXT,
    "excerpt" TEXT,

    CONSTRAINT "webhook_attempt_pkey" PRIMARY KEY ("tenantId","endpointId","deliveryId","number")
);

CREATE INDEX "webhook_endpoint_tenantId_clientId_idx" ON "webhook_endpoint"("tenantId", "clientId");
-- An event goes to an endpoint once, however often the feed is read.
CREATE UNIQUE INDEX "webhook_delivery_tenantId_endpointId_position_key" ON "webhook_delivery"("tenantId", "endpointId", "position");

ALTER TABLE "webhook_endpoint"
  ADD CONSTRAINT "webhook_endpoint_tenantId_nodeId_fkey" FOREIGN KEY ("tenantId", "nodeId") REFERENCES "node",
  ADD CONSTRAINT "webhook_endpoint_tenantId_clientId_fkey" FOREIGN KEY ("tenantId", "clientId") REFERENCES "client",
  ADD CONSTRAINT "webhook_endpoint_tenantId_personId_fkey" FOREIGN KEY ("tenantId", "personId") REFERENCES "person",
  ADD CONSTRAINT "webhook_endpoint_owner_check" CHECK (("clientId" IS NULL) <> ("personId" IS NULL)),
  ADD CONSTRAINT "webhook_endpoint_algorithm_check" CHECK ("algorithm" IN ('v1', 'v1a')),
  ADD CONSTRAINT "webhook_endpoint_status_check" CHECK ("status" IN ('enabled', 'paused', 'disabled')),
  ADD CONSTRAINT "webhook_endpoint_disabled_check" CHECK (("status" = 'disabled') = ("disabledAt" IS NOT NULL) AND ("disabledAt" IS NULL) = ("disabledReason" IS NULL)),
  ADD CONSTRAINT "webhook_endpoint_failing_check" CHECK ("failures" >= 0 AND ("failures" = 0) = ("failingSince" IS NULL)),
  ADD CONSTRAINT "webhook_endpoint_pace_check" CHECK ("width" >= 1 AND "ratePerSecond" >= 1);
ALTER TABLE "webhook_secret" ADD CONSTRAINT "webhook_secret_endpoint_fkey" FOREIGN KEY ("tenantId", "endpointId") REFERENCES "webhook_endpoint";
-- No key to the feed: an event may be erased after its time, and the log of its delivery stays.
ALTER TABLE "webhook_delivery"
  ADD CONSTRAINT "webhook_delivery_endpoint_fkey" FOREIGN KEY ("tenantId", "endpointId") REFERENCES "webhook_endpoint",
  ADD CONSTRAINT "webhook_delivery_state_check" CHECK ("state" IN ('pending', 'delivering', 'delivered', 'exhausted', 'disabled')),
  -- Exactly what is not over has a next time: the sender can lose none.
  ADD CONSTRAINT "webhook_delivery_waiting_check" CHECK (("state" IN ('pending', 'delivering')) = ("nextAt" IS NOT NULL) AND ("nextAt" IS NULL) = ("endedAt" IS NOT NULL));
ALTER TABLE "webhook_attempt" ADD CONSTRAINT "webhook_attempt_delivery_fkey" FOREIGN KEY ("tenantId", "endpointId", "deliveryId") REFERENCES "webhook_delivery";

-- What is due, what comes next in order, and what is under way, of one endpoint.
CREATE INDEX "webhook_delivery_due_idx" ON "webhook_delivery" ("tenantId", "endpointId", "nextAt") WHERE "nextAt" IS NOT NULL;
CREATE INDEX "webhook_delivery_order_idx" ON "webhook_delivery" ("tenantId", "endpointId", "position" NULLS FIRST) WHERE "nextAt" IS NOT NULL;
CREATE INDEX "webhook_delivery_busy_idx" ON "webhook_delivery" ("tenantId", "endpointId") WHERE "state" = 'delivering';
-- Consumers read the feed of all tenants from a position on; a replay reads one tenant's of some days.
CREATE INDEX "feed_position_idx" ON "feed" ("position");
CREATE INDEX "feed_at_idx" ON "feed" USING brin ("at");
-- Attempts only pass by: the old ones are found by the order in which they were written.
CREATE INDEX "webhook_attempt_at_idx" ON "webhook_attempt" USING brin ("at");

CALL wishwall_second_wall('webhook_endpoint');
CALL wishwall_second_wall('webhook_secret');
CALL wishwall_second_wall('webhook_delivery');
CALL wishwall_second_wall('webhook_attempt');

-- The app keeps endpoints and starts deliveries anew; the system sends them and writes what it met.
GRANT SELECT, INSERT ON "webhook_endpoint", "webhook_secret", "webhook_delivery" TO wishwall_app;
GRANT UPDATE ("nodeId", "url", "eventTypes", "ordered", "ratePerSecond", "description", "status", "disabledReason", "disabledAt", "failures", "failingSince", "warnings", "width") ON "webhook_endpoint" TO wishwall_app;
GRANT UPDATE ("sealed", "expiresAt") ON "webhook_secret" TO wishwall_app;
GRANT UPDATE ("state", "attempts", "nextAt", "endedAt") ON "webhook_delivery" TO wishwall_app;
GRANT SELECT ON "webhook_attempt" TO wishwall_app;
GRANT SELECT ON "webhook_endpoint", "webhook_secret" TO wishwall_system;
GRANT UPDATE ("status", "disabledReason", "disabledAt", "failures", "failingSince", "warnings", "width", "paceAt") ON "webhook_endpoint" TO wishwall_system;
GRANT SELECT, INSERT ON "webhook_delivery" TO wishwall_system;
GRANT UPDATE ("state", "attempts", "claims", "nextAt", "endedAt") ON "webhook_delivery" TO wishwall_system;
GRANT SELECT, INSERT, DELETE ON "webhook_attempt" TO wishwall_system;
