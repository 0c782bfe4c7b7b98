-- In which coding a delta was made, or tried (delta/format.h, FORMAT_VERSION); 0: not known, so an old one.
ALTER TABLE deltas ADD COLUMN coding INTEGER NOT NULL DEFAULT 0;
