-- 敲门问需: doors, who looks after which, and what was found there. Non-breaking: new tables.

-- A door without a name. Which one it is lies sealed in `subject`; `door` is its blind index, of which there is one in a place.
CREATE TABLE "household" (
    "tenantId" UUID NOT NULL,
    "id" UUID NOT NULL,
    "nodeId" UUID NOT NULL,
    "subjectId" UUID NOT NULL,
    "door" BYTEA NOT NULL,
    "visitedAt" TIMESTAMPTZ(3),
    "createdAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "household_pkey" PRIMARY KEY ("tenantId","id")
);

CREATE UNIQUE INDEX "household_tenantId_nodeId_door_key" ON "household" ("tenantId", "nodeId", "door");

ALTER TABLE "household"
  ADD CONSTRAINT "household_tenantId_nodeId_fkey" FOREIGN KEY ("tenantId", "nodeId") REFERENCES "node",
  ADD CONSTRAINT "household_tenantId_subjectId_fkey" FOREIGN KEY ("tenantId", "subjectId") REFERENCES "subject";

-- 1+N (S3): a member or grid worker and the households he looks after.
CREATE TABLE "household_link" (
    "tenantId" UUID NOT NULL,
    "id" UUID NOT NULL,
    "householdId" UUID NOT NULL,
    "personId" UUID NOT NULL,
    "since" TIMESTAMPTZ(3) NOT NULL,
    "until" TIMESTAMPTZ(3),

    CONSTRAINT "household_link_pkey" PRIMARY KEY ("tenantId","id")
);

CREATE UNIQUE INDEX "household_link_tenantId_householdId_personId_key" ON "household_link" ("tenantId", "householdId", "personId") WHERE "until" IS NULL;
CREATE INDEX "household_link_person_idx" ON "household_link" ("tenantId", "personId") WHERE "until" IS NULL;

ALTER TABLE "household_link"
  ADD CONSTRAINT "household_link_tenantId_householdId_fkey" FOREIGN KEY ("tenantId", "householdId") REFERENCES "household",
  ADD CONSTRAINT "household_link_tenantId_personId_fkey" FOREIGN KEY ("tenantId", "personId") REFERENCES "person";

-- `clientRef` is what the visitor's phone calls it: his own, for ever. `path` is where the door was at that time.
CREATE TABLE "visit" (
    "tenantId" UUID NOT NULL,
    "id" UUID NOT NULL,
    "householdId" UUID NOT NULL,
    "path" TEXT COLLATE "C" NOT NULL,
    "personId" UUID NOT NULL,
    "clientId" UUID,
    "clientRef" TEXT NOT NULL,
    "fingerprint" BYTEA NOT NULL,
    "result" TEXT NOT NULL,
    "visitedAt" TIMESTAMPTZ(3) NOT NULL,
    "filedAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "visit_pkey" PRIMARY KEY ("tenantId","id")
);

CREATE UNIQUE INDEX "visit_tenantId_personId_clientRef_key" ON "visit" ("tenantId", "personId", "clientRef");
CREATE INDEX "visit_household_idx" ON "visit" ("tenantId", "householdId", "visitedAt");

ALTER TABLE "visit"
  ADD CONSTRAINT "visit_tenantId_householdId_fkey" FOREIGN KEY ("tenantId", "householdId") REFERENCES "household",
  ADD CONSTRAINT "visit_tenantId_personId_fkey" FOREIGN KEY ("tenantId", "personId") REFERENCES "person",
  ADD CONSTRAINT "visit_tenantId_clientId_fkey" FOREIGN KEY ("tenantId", "clientId") REFERENCES "client",
  ADD CONSTRAINT "visit_result_check" CHECK ("result" IN ('met', 'not_home', 'refused'));

-- What was asked for at the door, filed in the order it was told.
CREATE TABLE "visit_need" (
    "tenantId" UUID NOT NULL,
    "visitId" UUID NOT NULL,
    "n" INTEGER NOT NULL,
    "requestId" UUID NOT NULL,

    CONSTRAINT "visit_need_pkey" PRIMARY KEY ("tenantId","visitId","n")
);

CREATE UNIQUE INDEX "visit_need_tenantId_requestId_key" ON "visit_need" ("tenantId", "requestId");

ALTER TABLE "visit_need"
  ADD CONSTRAINT "visit_need_tenantId_visitId_fkey" FOREIGN KEY ("tenantId", "visitId") REFERENCES "visit",
  ADD CONSTRAINT "visit_need_tenantId_requestId_fkey" FOREIGN KEY ("tenantId", "requestId") REFERENCES "request";

CALL wishwall_second_wall('household');
CALL wishwall_second_wall('household_link');
CALL wishwall_second_wall('visit');
CALL wishwall_second_wall('visit_need');

GRANT SELECT, INSERT ON "household", "household_link", "visit", "visit_need" TO wishwall_app;
GRANT UPDATE ("visitedAt") ON "household" TO wishwall_app;
GRANT UPDATE ("until") ON "household_link" TO wishwall_app;
GRANT SELECT ON "household", "household_link", "visit", "visit_need" TO wishwall_system;
