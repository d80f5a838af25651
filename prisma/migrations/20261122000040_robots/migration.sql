-- Inboxes that say what to do, group robots, quiet hours. Non-breaking: new tables, new columns with defaults.

-- An inbox row knows by itself which event it is, how its person was told, and whether it may disturb now.
ALTER TABLE "notification"
  ADD COLUMN "id" UUID,
  ADD COLUMN "toldAs" TEXT NOT NULL DEFAULT 'anyone',
  ADD COLUMN "urgent" BOOLEAN NOT NULL DEFAULT false,
  ADD COLUMN "quietUntil" TIMESTAMPTZ(3);
UPDATE "notification" n SET "id" = f."id" FROM "feed" f WHERE f."tenantId" = n."tenantId" AND f."position" = n."position";
ALTER TABLE "notification" ALTER COLUMN "id" SET NOT NULL;
-- How many are unread, and which.
CREATE INDEX "notification_unread_idx" ON "notification" ("tenantId", "personId", "position") WHERE "readAt" IS NULL;

CREATE TABLE "robot" (
    "tenantId" UUID NOT NULL,
    "id" UUID NOT NULL,
    "nodeId" UUID NOT NULL,
    "personId" UUID NOT NULL,
    "channel" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "eventTypes" TEXT[],
    "kid" TEXT,
    "sealed" BYTEA,
    "fingerprint" BYTEA,
    "mask" TEXT NOT NULL,
    "signed" BOOLEAN NOT NULL,
    "status" TEXT NOT NULL,
    "fromPosition" BIGINT NOT NULL,
    "claim" INTEGER NOT NULL DEFAULT 0,
    "nextAt" TIMESTAMPTZ(3) NOT NULL,
    "failures" INTEGER NOT NULL DEFAULT 0,
    "failingSince" TIMESTAMPTZ(3),
    "reason" TEXT,
    "code" TEXT,
    "deliveredAt" TIMESTAMPTZ(3),
    "createdAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "robot_pkey" PRIMARY KEY ("tenantId","id")
);

CREATE TABLE "robot_message" (
    "tenantId" UUID NOT NULL,
    "robotId" UUID NOT NULL,
    "id" UUID NOT NULL,
    "position" BIGINT,
    "requestId" UUID,
    "seq" INTEGER,
    "type" TEXT NOT NULL,
    "urgent" BOOLEAN NOT NULL,
    "state" TEXT NOT NULL,
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "claim" INTEGER NOT NULL DEFAULT 0,
    "nextAt" TIMESTAMPTZ(3),
    "reason" TEXT,
    "code" TEXT,
    "createdAt" TIMESTAMPTZ(3) NOT NULL,
    "endedAt" TIMESTAMPTZ(3),

    CONSTRAINT "robot_message_pkey" PRIMARY KEY ("tenantId","robotId","id")
);

CREATE TABLE "quiet_hours" (
    "tenantId" UUID NOT NULL,
    "nodeId" UUID NOT NULL,
    "personId" UUID NOT NULL,
    "begins" TEXT,
    "ends" TEXT,
    "workingTimeOnly" BOOLEAN,
    "changedAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "quiet_hours_pkey" PRIMARY KEY ("tenantId","nodeId")
);

-- An event goes to a robot once, however often the feed is read.
CREATE UNIQUE INDEX "robot_message_tenantId_robotId_position_key" ON "robot_message"("tenantId", "robotId", "position");

ALTER TABLE "robot"
  ADD CONSTRAINT "robot_tenantId_nodeId_fkey" FOREIGN KEY ("tenantId", "nodeId") REFERENCES "node",
  ADD CONSTRAINT "robot_tenantId_personId_fkey" FOREIGN KEY ("tenantId", "personId") REFERENCES "person",
  ADD CONSTRAINT "robot_channel_check" CHECK ("channel" IN ('wecom', 'dingtalk', 'feishu')),
  ADD CONSTRAINT "robot_status_check" CHECK ("status" IN ('enabled', 'paused', 'removed')),
  -- A robot that was removed keeps its name for the log, and none of its secrets.
  ADD CONSTRAINT "robot_secret_check" CHECK (("status" = 'removed') = ("sealed" IS NULL) AND ("sealed" IS NULL) = ("kid" IS NULL) AND ("sealed" IS NULL) = ("fingerprint" IS NULL)),
  ADD CONSTRAINT "robot_failing_check" CHECK ("failures" >= 0 AND ("failures" = 0) = ("failingSince" IS NULL));
-- No key to the feed: an event may be erased after its time, and the log of its message stays.
ALTER TABLE "robot_message"
  ADD CONSTRAINT "robot_message_robot_fkey" FOREIGN KEY ("tenantId", "robotId") REFERENCES "robot",
  ADD CONSTRAINT "robot_message_event_check" CHECK (("position" IS NULL) = ("requestId" IS NULL) AND ("position" IS NULL) = ("seq" IS NULL)),
  ADD CONSTRAINT "robot_message_state_check" CHECK ("state" IN ('pending', 'leased', 'delivered', 'exhausted', 'cancelled')),
  -- Exactly what is not over has a next time: none can be lost.
  ADD CONSTRAINT "robot_message_waiting_check" CHECK (("state" IN ('pending', 'leased')) = ("nextAt" IS NOT NULL) AND ("nextAt" IS NULL) = ("endedAt" IS NOT NULL));
ALTER TABLE "quiet_hours"
  ADD CONSTRAINT "quiet_hours_tenantId_nodeId_fkey" FOREIGN KEY ("tenantId", "nodeId") REFERENCES "node",
  ADD CONSTRAINT "quiet_hours_tenantId_personId_fkey" FOREIGN KEY ("tenantId", "personId") REFERENCES "person",
  -- Whole, or taken back: then what is above holds.
  ADD CONSTRAINT "quiet_hours_whole_check" CHECK (num_nonnulls("begins", "ends", "workingTimeOnly") IN (0, 3)),
  ADD CONSTRAINT "quiet_hours_clock_check" CHECK ("begins" ~ '^([01][0-9]|2[0-3]):[0-5][0-9]$' AND "ends" ~ '^([01][0-9]|2[0-3]):[0-5][0-9]$');

-- One group robot is registered once: two would not know of each other's messages, and the vendor counts them together.
CREATE UNIQUE INDEX "robot_fingerprint_key" ON "robot" ("tenantId", "fingerprint") WHERE "fingerprint" IS NOT NULL;
CREATE INDEX "robot_status_idx" ON "robot" ("tenantId", "nodeId") WHERE "status" <> 'removed';
CREATE INDEX "robot_message_due_idx" ON "robot_message" ("tenantId", "robotId", "nextAt") WHERE "nextAt" IS NOT NULL;

CALL wishwall_second_wall('robot');
CALL wishwall_second_wall('robot_message');
CALL wishwall_second_wall('quiet_hours');

-- The app keeps robots and asks for tests; the system plans, sends and writes what it met.
GRANT SELECT, INSERT ON "robot", "robot_message", "quiet_hours" TO wishwall_app;
GRANT UPDATE ("nodeId", "name", "eventTypes", "kid", "sealed", "fingerprint", "mask", "signed", "status", "nextAt", "failures", "failingSince", "reason", "code") ON "robot" TO wishwall_app;
GRANT UPDATE ("state", "nextAt", "endedAt") ON "robot_message" TO wishwall_app;
GRANT UPDATE ("personId", "begins", "ends", "workingTimeOnly", "changedAt") ON "quiet_hours" TO wishwall_app;
GRANT SELECT ON "robot", "quiet_hours" TO wishwall_system;
GRANT UPDATE ("claim", "nextAt", "failures", "failingSince", "reason", "code", "deliveredAt") ON "robot" TO wishwall_system;
GRANT SELECT, INSERT ON "robot_message" TO wishwall_system;
GRANT UPDATE ("state", "attempts", "claim", "nextAt", "reason", "code", "endedAt") ON "robot_message" TO wishwall_system;
