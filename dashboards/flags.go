package dashboards

// flagMeanings says in words what is in flag_names, such as UF,URX. Flags that
// are not known here stay as they are.
const flagMeanings = `arrayStringConcat(arrayMap(f -> transform(f,
    ['UH', 'UF', 'UO', 'NR', 'URX', 'NC', 'UT', 'LR', 'UR', 'UC', 'DC', 'DPE', 'UPE', 'RL', 'SI', 'DT', 'UMSDR', 'OM', 'UAEX', 'RLSE', 'FI', 'DI', 'IH'],
    ['no healthy pod', 'no connection to a pod', 'too many in flight', 'no route', 'retries used up', 'no such revision', 'pod too slow',
     'connection reset by the gateway', 'reset by the pod', 'connection closed by the pod', 'client left', 'broken request', 'broken answer',
     'over the limit', 'idle for too long', 'took too long', 'took too long', 'gateway overloaded', 'not allowed', 'limit service failed',
     'fault injected', 'delay injected', 'bad header'],
    f), splitByChar(',', flag_names)), '; ')`
