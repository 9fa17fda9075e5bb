import MQLock
import MQLockTesting
import Testing

@testable import MQLockRabbitMQ

/// The stay of a lock in a process, over every sequence of events up to a length, beside the rules told one by one.
@Suite struct StayTests {
    private static let start = CompactInstant(ContinuousClock.now)

    private enum Event: CaseIterable {
        case release, take, takeUnproven, close, finish, wait, waitLong
    }

    /// Which lease is out, and what has happened so far.
    private struct History {
        var stay: Stay
        var now = StayTests.start
        var isHeld = true
        var isClosed: Bool
        var firstRelease: CompactInstant?
        var numbers: [UInt64] = []
        var isKept = false
        let length: Duration

        init(_ length: Duration) {
            (self.length, stay, isClosed) = (length, Stay(length: length), length <= .zero)
        }

        var isOverByTime: Bool { firstRelease.map { $0.after(length) <= now } ?? false }
    }

    @Test(arguments: [Duration.zero, .milliseconds(10), .seconds(1)])
    func everySequenceKeepsTheRules(_ length: Duration) {
        var reached: Set<String> = []
        func follow(_ history: History, _ left: Int) {
            reached.insert("\(history.stay.state)")
            guard left > 0 else { return }
            for event in Event.allCases {
                if event == .release, !history.isHeld { continue }
                var next = history
                apply(event, to: &next)
                follow(next, left - 1)
            }
        }
        follow(History(length), 6)
        #expect(reached.count == (length > .zero ? 3 : 2), "\(reached)")
    }

    private func apply(_ event: Event, to history: inout History) {
        switch event {
        case .wait: history.now = history.now.after(.milliseconds(1))
        case .waitLong: history.now = history.now.after(.milliseconds(10))
        case .release:
            let isFirst = history.firstRelease == nil
            history.firstRelease = history.firstRelease ?? history.now
            history.isHeld = false
            let release = history.stay.release(at: history.now)
            // It stays only while nothing speaks against it, and the first time says until when.
            history.isKept = !history.isClosed && !history.isOverByTime
            let end = isFirst ? history.now.after(history.length) : nil
            #expect(release == (history.isKept ? .keep(until: end) : .goBack))
        case .take, .takeUnproven:
            let number = history.stay.take(at: history.now, isProven: event == .take)
            let isExpected = event == .take && history.isKept && !history.isOverByTime
            #expect((number != nil) == isExpected)
            guard let number else { return }
            #expect(number > history.numbers.last ?? 0 && number < TokenNumber.step)
            history.numbers.append(number)
            (history.isHeld, history.isKept) = (true, false)
        case .close:
            // The lock goes back exactly once, and only from a process in which nobody holds it.
            #expect(history.stay.close() == history.isKept)
            (history.isClosed, history.isKept) = (true, false)
        case .finish:
            history.stay.finish()
            (history.isClosed, history.isKept, history.isHeld) = (true, false, false)
        }
    }

    /// A grant of the broker's has room for 31 local ones below the next.
    @Test func theFiveLocalBitsAreUsedUpAndNoMore() {
        var stay = Stay(length: .seconds(1))
        var numbers: [UInt64] = []
        while case .keep = stay.release(at: Self.start) {
            numbers.append(stay.take(at: Self.start, isProven: true) ?? 0)
        }
        #expect(numbers == Array(1...31))
        #expect(stay.state == .over)
    }

    /// However often it is acquired: nobody elsewhere waits longer than that and the hold under way.
    @Test func theEndOfTheStayIsFixedAtTheFirstRelease() {
        var stay = Stay(length: .seconds(1))
        #expect(stay.release(at: Self.start) == .keep(until: Self.start.after(.seconds(1))))
        #expect(stay.take(at: Self.start.after(.milliseconds(900)), isProven: true) == 1)
        #expect(stay.release(at: Self.start.after(.milliseconds(950))) == .keep(until: nil))
        #expect(stay.take(at: Self.start.after(.milliseconds(960)), isProven: true) == 2)
        #expect(stay.release(at: Self.start.after(.milliseconds(1001))) == .goBack)
    }

    // MARK: Leases

    private func record(_ proof: ProofOfLife, own: ProofOfLife? = nil) -> LeaseRecord {
        LeaseRecord(name: "a", token: FencingToken(rawValue: 64)!, owner: "o", proof: proof, ownProof: own)
    }

    @Test func aKeptLockIsGrantedOnceWithALargerTokenAndTheSameProofs() throws {
        let proof = ProofOfLife(until: .now.after(.seconds(60)))
        let first = record(proof)
        let tenure = Tenure(first, staying: .seconds(30))
        #expect(tenure.take() == nil)
        _ = first.beginRelease()
        #expect(tenure.release(first) != nil)
        #expect(tenure.record == nil)
        #expect(tenure.release(first) == nil)
        let second = try #require(tenure.take())
        #expect(second.token.rawValue == 65 && second.isValid && tenure.record === second)
        #expect(tenure.take() == nil)
        #expect(tenure.largest == second.token)
        #expect(tenure.finish() === second)
        proof.end()
        #expect(!second.isValid)
    }

    /// Of the session, or of the lock's own queue.
    @Test(arguments: [false, true]) func nothingIsGrantedPastAProof(_ isOwn: Bool) {
        let (session, own) = (
            ProofOfLife(until: .now.after(.seconds(60))), ProofOfLife(until: .now.after(.seconds(60)))
        )
        let first = record(session, own: own)
        let tenure = Tenure(first, staying: .seconds(30))
        _ = first.beginRelease()
        #expect(tenure.release(first) == .keep(until: nil) || tenure.record == nil)
        (isOwn ? own : session).end()
        #expect(tenure.take() == nil)
        // It still has to go back.
        #expect(tenure.close())
    }
}
