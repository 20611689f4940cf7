-- Why a run is to be stopped that another life of the gateway does; null while nobody wants that.
ALTER TABLE runs ADD COLUMN stop TEXT;
