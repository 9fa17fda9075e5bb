import MQLock

func remindCustomers(_ locks: some MarkKeeping) async throws {
    let hours = try Schedule.cron("0 * * * *", in: "Europe/Berlin")
    try await locks.schedule("reminders", hours) { tick in
        try await store(makeReport(), fence: tick.lease.fencingToken)
    }
}
