import Foundation
import MQLock
import MQLockTesting
import Testing

@Suite("Observation")
struct ObservationTests {
    private func session(_ number: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: 32 - digits.count) + digits
    }

    private func holder(_ number: Int, _ token: UInt64) -> LockContender {
        ControlMessageTests.contender {
            $0.session = session(number)
            $0.fencingToken = FencingToken(rawValue: token)
        }
    }

    private func waiter(_ number: Int) -> LockContender {
        ControlMessageTests.contender {
            $0.session = session(number)
            $0.role = .waiter
            $0.fencingToken = nil
        }
    }

    private func story(_ changes: [LockChange]) -> [String] {
        changes.map { "\($0.kind) \(Int($0.contender.session) ?? 0)" }
    }

    @Test("what is there at the beginning, then what changes, nothing twice")
    func beginning() {
        var observation = Observation()
        #expect(story(observation.answered(holder(1, 32))) == ["held 1"])
        #expect(story(observation.answered(waiter(2))) == ["waiting 2"])
        #expect(observation.answered(holder(1, 32)).isEmpty)
        #expect(observation.answered(waiter(2)).isEmpty)
        #expect(story(observation.announced(.init(.released, holder(1, 32)))) == ["released 1"])
        #expect(story(observation.announced(.init(.granted, holder(2, 64)))) == ["granted 2"])
        #expect(observation.announced(.init(.granted, holder(2, 64))).isEmpty)
        // An answer that was on its way when the release came.
        #expect(observation.answered(holder(1, 32)).isEmpty)
        #expect(story(observation.announced(.init(.lost, holder(2, 64)))) == ["lost 2"])
        #expect(observation.announced(.init(.lost, holder(2, 64))).isEmpty)
    }

    @Test("a grant that overtakes the release before it waits for it")
    func overtaken() {
        var observation = Observation()
        _ = observation.answered(holder(1, 32))
        #expect(observation.announced(.init(.granted, holder(2, 64))).isEmpty)
        #expect(observation.isUnsettled)
        #expect(story(observation.announced(.init(.released, holder(1, 32)))) == ["released 1", "granted 2"])
        #expect(!observation.isUnsettled)
        #expect(observation.settle().isEmpty)
    }

    /// Anybody who may use locks can say anything once; who goes on lying is seen, with its user.
    @Test(
        "nobody's number, once said, hides the lock for good",
        arguments: [0, 1, 63, 64, 65, 1 << 40, FencingToken.maximum] as [UInt64])
    func forgedNumbers(number: UInt64) throws {
        let kinds: [LockChange.Kind?] = [nil, .waiting, .left, .granted, .released, .lost]
        for kind in kinds {
            for session in [1, 9] {
                for before in [true, false] {
                    var observation = Observation()
                    var current = ""
                    func tell(_ changes: [LockChange]) {
                        for change in changes where ![.waiting, .left].contains(change.kind) {
                            let isHeld = [.held, .granted].contains(change.kind)
                            current = isHeld ? "\(change.contender.user ?? "") \(change.contender.fencingToken!)" : ""
                        }
                    }
                    var honest = holder(1, 64)
                    honest.user = "guest"
                    if before { tell(observation.answered(honest)) }
                    var lie = holder(session, number)
                    lie.user = "liar"
                    if let kind {
                        tell(observation.announced(LockChange(kind, lie)))
                    } else {
                        tell(observation.answered(lie))
                    }
                    for _ in 0..<5 {
                        tell(observation.settle())
                        tell(observation.answered(honest))
                        tell(observation.settle())
                        tell(observation.endRound())
                    }
                    #expect(current == "guest 64", "\(String(describing: kind)) of \(session), \(before)")
                    // And the hold after it.
                    tell(observation.announced(LockChange(.released, honest)))
                    var next = holder(2, 96)
                    next.user = "guest"
                    tell(observation.announced(LockChange(.granted, next)))
                    for _ in 0..<3 {
                        tell(observation.settle())
                        tell(observation.answered(next))
                        tell(observation.settle())
                        tell(observation.endRound())
                    }
                    #expect(current == "guest 96", "\(String(describing: kind)) of \(session), \(before)")
                }
            }
        }
    }

    @Test("a holder that was killed is lost when its successor is granted the lock")
    func killed() {
        var observation = Observation()
        _ = observation.answered(holder(1, 32))
        _ = observation.announced(.init(.granted, holder(2, 64)))
        #expect(story(observation.settle()) == ["lost 1", "granted 2"])
        // It was only slow, and has been called lost already.
        #expect(observation.announced(.init(.released, holder(1, 32))).isEmpty)
    }

    @Test("a successor that releases at once")
    func quick() {
        var observation = Observation()
        _ = observation.answered(holder(1, 32))
        _ = observation.announced(.init(.granted, holder(2, 64)))
        #expect(
            story(observation.announced(.init(.released, holder(2, 64)))) == ["lost 1", "granted 2", "released 2"])
    }

    @Test("one that no longer answers is silent, and held again when it does")
    func silent() {
        var observation = Observation()
        _ = observation.answered(holder(1, 32))
        _ = observation.answered(waiter(2))
        #expect(observation.endRound().isEmpty)
        #expect(story(observation.endRound()) == ["silent 1", "left 2"])
        #expect(observation.endRound().isEmpty)
        #expect(story(observation.answered(holder(1, 32))) == ["held 1"])
        #expect(story(observation.answered(waiter(2))) == ["waiting 2"])
    }

    @Test("one that begins to listen after its grant was granted the lock a moment ago")
    func latecomer() {
        var observation = Observation()
        _ = observation.endRound()
        #expect(story(observation.answered(holder(1, 32))) == ["granted 1"])
    }

    /// A lock changes hands a hundred times; announcements of different sessions overtake each other, and those who die
    /// say nothing. The story has every grant once, in the order of the tokens, and its end before the next grant.
    @Test("any interleaving makes one story in order")
    func interleavings() {
        let seed =
            ProcessInfo.processInfo.environment["MQLOCK_SEED"].flatMap(UInt64.init) ?? .random(in: 0 ... .max)
        var generator = SeededGenerator(seed)
        for _ in 0..<300 {
            var inFlight: [[LockChange]] = Array(repeating: [], count: 4)
            var observation = Observation()
            var told: [LockChange] = []
            func deliver(_ session: Int) {
                told += observation.announced(inFlight[session].removeFirst())
                // Whoever dies is found out only when nothing else is on its way.
                if observation.isUnsettled, inFlight.allSatisfy(\.isEmpty) { told += observation.settle() }
            }
            var granted: [UInt64] = []
            for step in 1...30 {
                let session = step % 4
                let token = UInt64(step * 32)
                inFlight[session].append(.init(.granted, holder(session, token)))
                granted.append(token)
                if Int.random(in: 0..<5, using: &generator) > 0 {
                    inFlight[session].append(.init(.released, holder(session, token)))
                }
                // A holder's announcements reach the observer before the next but one begins.
                while inFlight.map(\.count).reduce(0, +) > Int.random(in: 0...2, using: &generator) {
                    let open = inFlight.indices.filter { !inFlight[$0].isEmpty }
                    deliver(open[Int.random(in: 0..<open.count, using: &generator)])
                }
            }
            while let session = inFlight.firstIndex(where: { !$0.isEmpty }) { deliver(session) }
            told += observation.settle()
            check(told, granted, seed)
        }
    }

    private func check(_ told: [LockChange], _ granted: [UInt64], _ seed: UInt64) {
        var open: UInt64?
        var last: UInt64 = 0
        for change in told {
            let token = change.contender.fencingToken?.rawValue ?? 0
            if change.kind == .granted {
                #expect(open == nil && token > last, "MQLOCK_SEED=\(seed): \(story(told))")
                (open, last) = (token, token)
            } else {
                #expect(open == token || token > last, "MQLOCK_SEED=\(seed): \(story(told))")
                (open, last) = (nil, max(last, token))
            }
        }
        #expect(last == granted.last, "MQLOCK_SEED=\(seed)")
    }
}
