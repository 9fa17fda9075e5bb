import MQLock

// Who leads, when.
extension ElectionSuite {
    var electionChecks: [Check] {
        [
            Check("one leads, then the next, with a larger token") { bench in
                let (leader, other, entry) = try await bench.pair()
                try bench.require(
                    leader.election.leadership?.fencingToken == entry.leadership.fencingToken
                        && other.election.leadership?.fencingToken == nil, "not just one believes to lead")
                leader.order(.finish)
                let error = try await bench.pace.within("the end of run", leader.ended)
                try bench.require(error == nil, "a body that returned ended run with \(String(describing: error))")
                let next = try await bench.next(after: entry.number, "the next leader")
                try bench.require(next.owner == other.owner, "\(next.owner) leads twice")
                try bench.require(!entry.leadership.isValid, "the former leader's lease is valid")
                let token = entry.leadership.fencingToken
                _ = try await bench.pace.within("the word of the end") {
                    await leader.log.first { $0.kind == .ended && $0.fencingToken == token }
                }
                let kinds = leader.log.soFar.filter { $0.fencingToken == token }.map(\.kind)
                try bench.require(kinds.prefix(2) == [.elected, .ended], "the events were \(kinds)")
            },
            Check("candidates take turns by ceding, never two at once") { bench in
                let players = [
                    try await bench.player("one"), try await bench.player("two"), try await bench.player("three"),
                ]
                // Ceding to waiting candidates: not before all are there.
                let areThere = Replay<Void>()
                for player in players {
                    player.habit.withLock { habit in
                        habit = { leadership in
                            _ = await areThere.first { true }
                            await leadership.cede()
                        }
                    }
                    player.run()
                }
                try await bench.inLine(players.count)
                areThere.send(())
                for turn in 0..<bench.subject.turns { _ = try await bench.next(after: turn, "turn \(turn + 1)") }
                let leaders = Set(bench.stage.entries.soFar.map(\.owner))
                try bench.require(leaders.count > 1, "one candidate alone led \(bench.subject.turns) times")
                for player in players { player.stop() }
                for player in players {
                    let error = try await bench.pace.within("the end of a cancelled run", player.ended)
                    try bench.require(error == nil, "a cancelled run threw \(String(describing: error))")
                }
            },
            Check("campaign by hand: elected, refused a second time, resigned") { bench in
                let only = try await bench.player("only").election
                let limit = bench.subject.handOverLimit * 3
                let leadership = try await bench.pace.passing("the leader", upTo: limit) { try await only.campaign() }
                let again = await Result { try await only.run { _ in } }
                guard case .failure(let error as LockError) = again, error.code == .alreadyRunning else {
                    throw Unmet("a leader could run another candidacy: \(again)")
                }
                try bench.require(leadership.isValid, "the leader does not lead")
                try await bench.pace.within("the resignation", only.resign)
                try bench.require(!leadership.isValid && only.leadership == nil, "who resigned still leads")
                let next = try await bench.pace.passing("the next", upTo: limit) { try await only.campaign() }
                try bench.require(next.fencingToken > leadership.fencingToken, "the token did not grow")
                try await bench.pace.within("the resignation", only.resign)
            },
            Check("campaign by hand: one that ends early leaves nothing") { bench in
                guard !bench.subject.joiningInterrupts else {
                    throw NotTried("a candidate that joins ends a leadership that is nobody's to begin anew")
                }
                let first = try await bench.player("first").election
                let second = try await bench.player("second").election
                let leadership = try await bench.pace.within("the first") { try await first.campaign() }
                let campaign = Task { await Result { try await second.campaign() } }
                try await bench.inLine(2)
                campaign.cancel()
                let cancelled = try await bench.pace.within("a cancelled campaign") { await campaign.value }
                guard case .failure(let error as LockError) = cancelled, error.code == .cancelled else {
                    throw Unmet("a cancelled campaign ended with \(cancelled)")
                }
                let late = try await bench.pace.passing("the time limit", upTo: bench.subject.handOverLimit) {
                    await Result { try await second.campaign(within: .milliseconds(100)) }
                }
                guard case .failure(let error as LockError) = late, error.code == .timedOut else {
                    throw Unmet("a campaign beyond its limit ended with \(late)")
                }
                try await bench.pace.within("the resignation", first.resign)
                let next = try await bench.pace.within("the next") { try await second.campaign() }
                try bench.require(next.fencingToken > leadership.fencingToken, "the token did not grow")
                try await bench.pace.within("the resignation", second.resign)
            },
            Check("others see who leads") { bench in
                guard bench.subject.observesOthers else {
                    throw NotTried("this provider does not show other candidates")
                }
                let watcher = try await bench.player("watcher")
                let seen = Replay<Leader?>()
                let watching = Task {
                    for try await leader in watcher.election.observe() { seen.send(leader) }
                }
                defer { watching.cancel() }
                let (leader, other, entry) = try await bench.pair()
                let limit = bench.subject.handOverLimit * 3
                _ = try await bench.pace.passing("the leader to be seen", upTo: limit) {
                    await seen.first {
                        $0?.owner == leader.owner && $0?.fencingToken == entry.leadership.fencingToken
                    }
                }
                leader.order(.finish)
                let next = try await bench.next(other, after: entry.number, "the next leader")
                _ = try await bench.pace.passing("the next leader to be seen", upTo: limit) {
                    await seen.first { $0?.fencingToken == next.leadership.fencingToken && $0?.owner == other.owner }
                }
            },
        ]
    }
}

extension Result where Failure == any Error {
    init(_ body: () async throws -> Success) async {
        do { self = .success(try await body()) } catch { self = .failure(error) }
    }
}
