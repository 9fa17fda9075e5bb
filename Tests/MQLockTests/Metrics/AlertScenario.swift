/// What the alert rules of the article *Observing locks* say at which minute of a made-up afternoon, in the language of
/// `promtool test rules`. The rules are in `rules.yml` beside it.
enum AlertScenario {
    static let text = """
        rule_files: [rules.yml]
        evaluation_interval: 15s
        tests:
          - interval: 15s
            input_series:
              - {series: 'mqlock_losses_total{reason="queueDeleted",instance="a",job="j"}', values: '0x20 1x20'}
              - {series: 'mqlock_losses_total{reason="shutdown",instance="a",job="j"}', values: '0x20 1x20'}
              - {series: 'mqlock_proof_remaining_seconds{instance="a",job="j"}', values: '17x20 8 17x20'}
              - {series: 'mqlock_proof_length_seconds{instance="a",job="j"}', values: '18x60'}
              - {series: 'mqlock_waiting{instance="a",job="j"}', values: '2x400'}
              - {series: 'mqlock_waiting{instance="b",job="j"}', values: '2x400'}
              - {series: 'mqlock_grants_total{instance="a",job="j",lock="x"}', values: '5x400'}
              - {series: 'mqlock_grants_total{instance="b",job="j",lock="x"}', values: '0+1x400'}
              - {series: 'mqlock_sessions{instance="b",job="j"}', values: '0x400'}
              - {series: 'mqlock_events_dropped_total{instance="b",job="j"}', values: '0x20 1x100'}
              - {series: 'mqlock_leaks_total{instance="b",job="j"}', values: '0x20 1x100'}
              - {series: 'mqlock_renewal_seconds_bucket{le="1",instance="a",job="j"}', values: '0x400'}
              - {series: 'mqlock_renewal_seconds_bucket{le="10",instance="a",job="j"}', values: '0+1x400'}
              - {series: 'mqlock_renewal_seconds_bucket{le="+Inf",instance="a",job="j"}', values: '0+1x400'}
            alert_rule_test:
              - eval_time: 6m
                alertname: LockLost
                exp_alerts: [{exp_labels: {severity: warning, instance: a, reason: queueDeleted}, exp_annotations: {summary: "a lost a lock that it held: queueDeleted"}}]
              - {eval_time: 4m, alertname: LockLost, exp_alerts: []}
              - {eval_time: 4m, alertname: LockProofNearlyOverdue, exp_alerts: []}
              - eval_time: 6m
                alertname: LockProofNearlyOverdue
                exp_alerts: [{exp_labels: {severity: warning, instance: a, job: j}, exp_annotations: {summary: "a will lose its locks soon: the broker hardly answers"}}]
              - eval_time: 6m
                alertname: LockRenewalsSlow
                exp_alerts: [{exp_labels: {severity: warning, instance: a, job: j}, exp_annotations: {summary: "a: proofs of life take 9.91s to be answered"}}]
              - {eval_time: 10m, alertname: LockWaitersWithoutGrants, exp_alerts: []}
              - eval_time: 40m
                alertname: LockWaitersWithoutGrants
                exp_alerts: [{exp_labels: {severity: warning, instance: a, job: j}, exp_annotations: {summary: "On a 2 callers wait, and nobody has been granted a lock for long"}}]
              - eval_time: 6m
                alertname: LockSessionDown
                exp_alerts: [{exp_labels: {severity: critical, instance: b, job: j}, exp_annotations: {summary: "b has no session with its broker, and 2 callers wait"}}]
              - eval_time: 6m
                alertname: LockLeaked
                exp_alerts: [{exp_labels: {severity: info, instance: b}, exp_annotations: {summary: "b drops held locks without releasing them"}}]
              - eval_time: 6m
                alertname: LockEventsDropped
                exp_alerts: [{exp_labels: {severity: info, instance: b, job: j}, exp_annotations: {summary: "The lock metrics of b are too low: events came faster than they were counted"}}]

        """
}
