-- Working calendars of places, and the recomputation of deadlines that they call for. Non-breaking: new tables only.

CREATE TABLE "calendar_hours" (
    "tenantId" UUID NOT NULL,
    "nodeId" UUID NOT NULL,
    "week" JSONB NOT NULL,
    "personId" UUID,
    "changedAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "calendar_hours_pkey" PRIMARY KEY ("tenantId","nodeId")
);

CREATE TABLE "calendar_day" (
    "tenantId" UUID NOT NULL,
    "nodeId" UUID NOT NULL,
    "day" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "name" TEXT,
    "hours" JSONB,
    "personId" UUID,
    "changedAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "calendar_day_pkey" PRIMARY KEY ("tenantId","nodeId","day")
);

CREATE TABLE "calendar_year" (
    "tenantId" UUID NOT NULL,
    "nodeId" UUID NOT NULL,
    "year" INTEGER NOT NULL,
    "days" JSONB NOT NULL,
    "personId" UUID,
    "publishedAt" TIMESTAMPTZ(3) NOT NULL,
    "changedAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "calendar_year_pkey" PRIMARY KEY ("tenantId","nodeId","year")
);

CREATE TABLE "rescheduling" (
    "tenantId" UUID NOT NULL,
    "id" UUID NOT NULL,
    "nodeId" UUID NOT NULL,
    "reason" TEXT NOT NULL,
    "scope" TEXT NOT NULL,
    "policyCode" TEXT,
    "since" TIMESTAMPTZ(3),
    "until" TIMESTAMPTZ(3),
    "walkedId" UUID,
    "seen" INTEGER NOT NULL DEFAULT 0,
    "moved" INTEGER NOT NULL DEFAULT 0,
    "failed" INTEGER NOT NULL DEFAULT 0,
    "personId" UUID,
    "createdAt" TIMESTAMPTZ(3) NOT NULL,
    "endedAt" TIMESTAMPTZ(3),

    CONSTRAINT "rescheduling_pkey" PRIMARY KEY ("tenantId","id")
);

CREATE TABLE "rescheduled" (
    "tenantId" UUID NOT NULL,
    "reschedulingId" UUID NOT NULL,
    "requestId" UUID NOT NULL,
    "seq" INTEGER NOT NULL,

    CONSTRAINT "rescheduled_pkey" PRIMARY KEY ("tenantId","reschedulingId","requestId","seq")
);

ALTER TABLE "calendar_hours"
  ADD CONSTRAINT "calendar_hours_tenantId_nodeId_fkey" FOREIGN KEY ("tenantId", "nodeId") REFERENCES "node",
  ADD CONSTRAINT "calendar_hours_tenantId_personId_fkey" FOREIGN KEY ("tenantId", "personId") REFERENCES "person";
ALTER TABLE "calendar_day"
  ADD CONSTRAINT "calendar_day_tenantId_nodeId_fkey" FOREIGN KEY ("tenantId", "nodeId") REFERENCES "node",
  ADD CONSTRAINT "calendar_day_tenantId_personId_fkey" FOREIGN KEY ("tenantId", "personId") REFERENCES "person",
  ADD CONSTRAINT "calendar_day_day_check" CHECK ("day" ~ '^\d{4}-\d{2}-\d{2}$'),
  -- `inherited` takes a day back: nothing is deleted.
  ADD CONSTRAINT "calendar_day_kind_check" CHECK ("kind" IN ('holiday', 'workday', 'inherited') AND ("hours" IS NULL OR "kind" = 'workday'));
ALTER TABLE "calendar_year"
  ADD CONSTRAINT "calendar_year_tenantId_nodeId_fkey" FOREIGN KEY ("tenantId", "nodeId") REFERENCES "node",
  ADD CONSTRAINT "calendar_year_tenantId_personId_fkey" FOREIGN KEY ("tenantId", "personId") REFERENCES "person",
  ADD CONSTRAINT "calendar_year_year_check" CHECK ("year" BETWEEN 2000 AND 2199);
ALTER TABLE "rescheduling"
  ADD CONSTRAINT "rescheduling_tenantId_nodeId_fkey" FOREIGN KEY ("tenantId", "nodeId") REFERENCES "node",
  ADD CONSTRAINT "rescheduling_tenantId_personId_fkey" FOREIGN KEY ("tenantId", "personId") REFERENCES "person",
  ADD CONSTRAINT "rescheduling_reason_check" CHECK ("reason" IN ('calendar', 'policy') AND ("reason" = 'policy') = ("policyCode" IS NOT NULL)),
  ADD CONSTRAINT "rescheduling_scope_check" CHECK ("scope" IN ('provisional', 'open') AND ("since" IS NULL) = ("until" IS NULL));
ALTER TABLE "rescheduled"
  ADD CONSTRAINT "rescheduled_rescheduling_fkey" FOREIGN KEY ("tenantId", "reschedulingId") REFERENCES "rescheduling",
  ADD CONSTRAINT "rescheduled_event_fkey" FOREIGN KEY ("tenantId", "requestId", "seq") REFERENCES "event";

-- What is still to be walked; and who is to be asked when a year is published: none for most of the year.
CREATE INDEX "rescheduling_waiting_idx" ON "rescheduling" ("createdAt") WHERE "endedAt" IS NULL;
CREATE INDEX "deadline_provisional_idx" ON "deadline" ("tenantId", "requestId") WHERE "provisional" AND "closedAt" IS NULL;

CALL wishwall_second_wall('calendar_hours');
CALL wishwall_second_wall('calendar_day');
CALL wishwall_second_wall('calendar_year');
CALL wishwall_second_wall('rescheduling');
CALL wishwall_second_wall('rescheduled');

GRANT SELECT, INSERT, UPDATE ON "calendar_hours", "calendar_day", "calendar_year" TO wishwall_app;
GRANT SELECT ON "calendar_hours", "calendar_day", "calendar_year" TO wishwall_system;
GRANT SELECT, INSERT ON "rescheduling" TO wishwall_app;
GRANT SELECT ON "rescheduled" TO wishwall_app;
GRANT SELECT, INSERT ON "rescheduling", "rescheduled" TO wishwall_system;
GRANT UPDATE ("walkedId", "seen", "moved", "failed", "endedAt") ON "rescheduling" TO wishwall_system;
