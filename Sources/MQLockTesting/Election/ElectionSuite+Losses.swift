import MQLock

// Leaderships that are lost: the body ends before the next one's begins.
extension ElectionSuite {
    var lossChecks: [Check] {
        [
            Check("an ended session: the body ends, another leads, the loser campaigns again") { bench in
                let endSession = try bench.need(bench.subject.endSession, "end a session")
                bench.stage.tolerance.withLock { $0 = bench.subject.noticeTakes }
                let (leader, other, entry) = try await bench.pair()
                try await endSession(leader.election)
                // A group reassigns, and may choose the same member.
                let mayBeSame = bench.subject.joiningInterrupts
                let next =
                    mayBeSame
                    ? try await bench.next(after: entry.number, "the next leader")
                    : try await bench.next(other, after: entry.number, "the next leader")
                try await loses(bench, leader, entry)
                if !mayBeSame { try await comesBack(bench, leader, other, next) }
            },
            Check("a silenced session: the body ends by the clock, before another leads") { bench in
                let silence = try bench.need(bench.subject.silence, "silence a session")
                let heal = try bench.need(bench.subject.heal, "heal a session")
                var settings = bench.settings
                settings.stopNotice = bench.subject.handOverLimit / 20
                let (leader, other, entry) = try await bench.pair(settings)
                let token = entry.leadership.fencingToken
                try await silence(leader.election)
                if let move = bench.subject.pass {
                    // Step by step: at the notice the body has to end without any more time.
                    while entry.leadership.lease.remaining > settings.stopNotice { await move(.milliseconds(100)) }
                    _ = try await bench.pace.within("the body to end at the notice") { [stage = bench.stage] in
                        await stage.exits.first { $0.token == token }
                    }
                }
                let next = try await bench.next(other, after: entry.number, "the next leader")
                guard let exit = bench.stage.exits.soFar.first(where: { $0.token == token }) else {
                    throw Unmet("the body of the former leader has not ended")
                }
                try bench.require(exit.wasValid, "the body ended after its proof")
                try await heal(leader.election)
                try await loses(bench, leader, entry)
                try await comesBack(bench, leader, other, next)
            },
        ]
    }

    private func loses(
        _ bench: ElectionBench<Candidate>, _ leader: ElectionBench<Candidate>.Player, _ entry: ElectionStage.Entry
    ) async throws {
        let token = entry.leadership.fencingToken
        let ended = try await bench.pace.passing("the loser's event", upTo: bench.subject.handOverLimit * 3) {
            await leader.log.first { $0.kind == .ended && $0.fencingToken == token }
        }
        try bench.require(
            ended?.end?.kind == .lost && ended?.end?.reason != nil,
            "the loser's leadership ended with \(String(describing: ended?.end))")
    }

    private func comesBack(
        _ bench: ElectionBench<Candidate>, _ loser: ElectionBench<Candidate>.Player,
        _ leader: ElectionBench<Candidate>.Player, _ entry: ElectionStage.Entry
    ) async throws {
        leader.order(.finish)
        _ = try await bench.next(loser, after: entry.number, "the loser, which campaigns for ever")
    }
}
