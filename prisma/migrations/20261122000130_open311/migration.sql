-- Forms and reviews of items, where places are, personal answers. Non-breaking: columns that may be left out, a table.

-- 服务菜单: what an item asks (a subset of JSON Schema, see domain/form.ts), and whether it is reviewed before it is accepted.
ALTER TABLE "item"
  ADD COLUMN "form" JSONB,
  ADD COLUMN "review" BOOLEAN NOT NULL DEFAULT false;

-- 节点: where it is, WGS84 in degrees; of a compound or building, never of a door.
ALTER TABLE "node"
  ADD COLUMN "lng" DOUBLE PRECISION,
  ADD COLUMN "lat" DOUBLE PRECISION,
  ADD CONSTRAINT "node_point_check" CHECK (("lng" IS NULL) = ("lat" IS NULL) AND "lng" BETWEEN -180 AND 180 AND "lat" BETWEEN -90 AND 90);
CREATE INDEX "node_point_idx" ON "node" ("tenantId", "lat", "lng") WHERE "lat" IS NOT NULL;

-- What Open311 shows to everybody: few of all.
CREATE INDEX "wall_entry_public_idx" ON "wall_entry" ("tenantId", "requestId") WHERE "isPublic";

-- Personal answers lie in a subject of their own, so that keys are rotated and destroyed as all others are.
CREATE TABLE "form_answer" (
    "tenantId" UUID NOT NULL,
    "requestId" UUID NOT NULL,
    "seq" INTEGER NOT NULL,
    "subjectId" UUID NOT NULL,

    CONSTRAINT "form_answer_pkey" PRIMARY KEY ("tenantId","requestId","seq")
);
ALTER TABLE "form_answer"
  ADD CONSTRAINT "form_answer_tenantId_requestId_seq_fkey" FOREIGN KEY ("tenantId", "requestId", "seq") REFERENCES "event",
  ADD CONSTRAINT "form_answer_tenantId_subjectId_fkey" FOREIGN KEY ("tenantId", "subjectId") REFERENCES "subject";

CALL wishwall_second_wall('form_answer');
GRANT SELECT, INSERT ON "form_answer" TO wishwall_app;
GRANT SELECT ON "form_answer" TO wishwall_system;
