import MQLock
import Testing

@testable import MQLockKafka

/// One session of a process, by itself or beside records of others: what it writes, grants and believes, and until when.
@Suite struct LogSessionTests {
    private typealias Desk = LogDesk

    private static let own = LogDesk.own
    private static let other = LogDesk.other

    @Test func aFreeLockIsGrantedWhenItsRecordIsRead() {
        var desk = Desk()
        desk.want(1)
        #expect(!desk.isGranted)
        desk.settle()
        #expect(desk.isGranted)
    }

    @Test func theProofIsThatOfTheSending() {
        var desk = Desk()
        let sent = desk.now
        desk.pass(.seconds(2))
        desk.settle()
        #expect(desk.effects.contains(.proven(until: sent.advanced(by: .seconds(9)), sentAt: sent)))
        #expect(desk.session.provenUntil == sent.advanced(by: .seconds(9)))
    }

    /// The same record once more is no newer proof.
    @Test func aRecordThatComesTwiceProvesOnce() {
        var desk = Desk()
        let open = desk.outbox[0]
        desk.settle()
        let until = desk.session.provenUntil
        desk.pass(.seconds(3))
        desk.put(open)
        #expect(desk.session.provenUntil == until)
    }

    @Test func anIdleSessionSaysThatItLivesFourTimesInItsTime() {
        var desk = Desk()
        desk.want(1)
        desk.settle()
        for _ in 0..<40 {
            desk.pass(.seconds(1))
            desk.tick()
            desk.settle()
        }
        let count = desk.written.count { if case .alive = $0 { true } else { false } }
        #expect((12...16).contains(count))
        #expect(desk.session.end == nil)
    }

    @Test func aSessionThatReadsNothingEnds() {
        var desk = Desk()
        desk.settle()
        desk.pass(.seconds(9))
        desk.tick()
        #expect(desk.session.end == .proofOverdue)
        desk.effects = []
        desk.want(1)
        desk.tick()
        #expect(desk.effects.isEmpty)
    }

    @Test func aSessionThatNeverOpensEnds() {
        var desk = Desk()
        desk.pass(.seconds(9))
        desk.tick()
        #expect(desk.session.end == .notOpened)
    }

    /// A holder that was stopped goes on with records that waited for it: none of them grants it anything.
    @Test func aGrantThatIsReadTooLateIsNone() {
        var desk = Desk()
        desk.put(LogDesk.openOther(), .want(Self.other, "n", attempt: 1, isTry: false))
        desk.want(1)
        desk.settle()
        #expect(!desk.isGranted)
        desk.pass(.seconds(60))
        desk.put(.leave(Self.other, "n", attempt: 1))
        #expect(!desk.isGranted)
        #expect(desk.session.end == .proofOverdue)
    }

    @Test func aLostRecordIsTheEndUnlessItWasRead() {
        var desk = Desk()
        let open = desk.outbox[0].number
        desk.settle()
        desk.take(desk.session.failed(open, at: desk.moment))
        #expect(desk.session.end == nil)
        desk.want(1)
        let want = desk.outbox[0].number
        desk.take(desk.session.failed(want, at: desk.moment))
        #expect(desk.session.end == .notWritten)
    }

    @Test func aPlaceThatNobodyKnowsIsGivenUp() {
        var desk = Desk()
        desk.settle()
        desk.put(.want(Self.own, "n", attempt: 77, isTry: false))
        #expect(desk.written.last == .leave(Self.own, "n", attempt: 77))
        #expect(!desk.isGranted)
    }

    @Test func aSilentSessionIsExpiredOnceForEachOfItsRecords() {
        var desk = Desk()
        desk.settle()
        desk.put(LogDesk.openOther())
        let seen = Int64(desk.log.count - 1)
        func expiries() -> [LogRecord.Body] {
            desk.written.filter { if case .expire = $0 { true } else { false } }
        }
        for _ in 0..<119 {
            desk.pass(.milliseconds(100))
            desk.tick()
            desk.settle()
            #expect(expiries().isEmpty)
        }
        for _ in 0..<20 {
            desk.pass(.milliseconds(100))
            desk.tick()
        }
        #expect(expiries() == [.expire(Self.other, seen: seen)])
        desk.settle()
        #expect(desk.session.view.table.sessions.keys.sorted() == [Self.own])
    }

    @Test func aTryIsRefusedByAHolderThatLives() {
        var desk = Desk()
        desk.put(LogDesk.openOther(), .want(Self.other, "n", attempt: 1, isTry: false))
        desk.want(1, isTry: true)
        desk.settle()
        #expect(desk.effects.contains(.refused(1)))
    }

    /// A process with nothing but a try does not know whether the holder lives: it waits until it does.
    @Test func aTryWaitsForASignOfLifeOfAnUnknownHolder() {
        for isDead in [true, false] {
            var desk = Desk()
            desk.put(LogDesk.openOther(), .want(Self.other, "n", attempt: 1, isTry: false), age: 3_600_000)
            desk.want(1, isTry: true)
            desk.settle()
            #expect(!desk.effects.contains(.refused(1)) && !desk.isGranted)
            if isDead {
                for _ in 0..<16 {
                    desk.pass(.seconds(1))
                    desk.tick()
                    desk.settle()
                }
                #expect(desk.isGranted)
            } else {
                desk.put(.alive(Self.other))
                #expect(desk.effects.contains(.refused(1)))
            }
        }
    }

    @Test func whoIsAskedToYieldIsTheHolderWithThatToken() throws {
        var desk = Desk()
        desk.want(1)
        desk.settle()
        let token = try #require(desk.session.view.table.lines["n"]?.token)
        desk.put(.yield("n", token: token - 1, from: "ops"), .yield("m", token: token, from: "ops"))
        #expect(!desk.effects.contains(.askedToYield(1, from: "ops")))
        desk.put(.yield("n", token: token, from: "ops"))
        #expect(desk.effects.contains(.askedToYield(1, from: "ops")))
    }

    @Test func aPlaceThatIsTakenAwayIsALoss() {
        var desk = Desk()
        desk.want(1)
        desk.settle()
        desk.put(.leave(Self.own, "n", attempt: 1))
        #expect(desk.effects.contains(.lost(1)))
    }

    @Test func anotherNumberOfPartitionsIsRefused() {
        var desk = Desk(partitions: 4)
        desk.put(LogDesk.openOther(partitions: 1))
        desk.want(1)
        desk.settle()
        #expect(desk.session.end == .otherPartitions(1))
        #expect(!desk.isGranted)
    }

    /// One that has died is waited for, and nothing is granted until it is expired.
    @Test func aDeadSessionWithAnotherNumberOfPartitionsIsExpiredFirst() {
        var desk = Desk(partitions: 4)
        desk.put(LogDesk.openOther(partitions: 1), age: 3_600_000)
        desk.want(1)
        desk.settle()
        #expect(desk.session.end == nil && !desk.isGranted)
        for _ in 0..<16 {
            desk.pass(.seconds(1))
            desk.tick()
            desk.settle()
        }
        #expect(desk.isGranted)
    }

    @Test func aYoungerSessionWithAnotherNumberOfPartitionsIsItsOwnConcern() {
        var desk = Desk()
        desk.want(1)
        desk.settle()
        desk.put(LogDesk.openOther(partitions: 7))
        #expect(desk.session.end == nil)
    }

    @Test func anotherStateOfAnotherProgramEndsAllLeases() {
        var desk = Desk()
        desk.settle()
        var record = LogRecord.foreign(LogDesk.openOther())
        record.applied = 0
        record.hash = desk.session.view.table.hash
        desk.put(record)
        #expect(desk.session.end == nil)
        record.body = .alive(Self.other)
        record.hash ^= 1
        desk.put(record)
        #expect(desk.session.end == .contradicted(at: 0))
    }

    @Test func aNewerFormatEndsAllLeases() {
        var desk = Desk()
        desk.settle()
        let entry = LogEntry(offset: Int64(desk.log.count), timestamp: 0, content: .newer(version: 2))
        desk.take(desk.session.read(entry, at: desk.moment))
        #expect(desk.session.end == .newer(version: 2))
    }

    @Test func aGapEndsAllLeases() {
        var desk = Desk()
        desk.settle()
        let entry = LogEntry(offset: Int64(desk.log.count) + 1, timestamp: 0, content: .unreadable)
        desk.take(desk.session.read(entry, at: desk.moment))
        #expect(desk.session.end == .gap)
    }

    @Test func whatNobodyNeedsIsClosed() {
        var desk = Desk()
        desk.want(1)
        desk.settle()
        desk.take(desk.session.leave(1, at: desk.moment))
        desk.settle()
        for _ in 0..<61 {
            desk.pass(.seconds(1))
            desk.tick()
            desk.settle()
        }
        #expect(desk.session.end == .idle)
        #expect(desk.written.last == .close(Self.own))
        #expect(desk.session.view.table.lines.isEmpty)
    }

    /// Its own records that come behind its expiry prove nothing †.
    @Test func whoIsExpiredHasEndedForGood() {
        var desk = Desk()
        desk.want(1)
        desk.settle()
        let until = desk.session.provenUntil
        desk.pass(.seconds(3))
        desk.tick()
        let alive = desk.outbox.removeFirst()
        desk.put(.expire(Self.own, seen: Int64(desk.log.count - 1)))
        #expect(desk.session.end == .expired)
        #expect(desk.effects.last == .ended(.expired))
        desk.put(alive)
        #expect(desk.session.provenUntil == until)
    }

    /// The leases end before anybody can read that the session has.
    @Test func theEndComesBeforeItsRecord() {
        var desk = Desk()
        desk.want(1)
        desk.settle()
        desk.effects = []
        desk.take(desk.session.close(at: desk.moment))
        guard case .ended(.closed)? = desk.effects.first, case .write? = desk.effects.last else {
            Issue.record("\(desk.effects)")
            return
        }
    }
}
