import Foundation
import MQLock
import Testing

@Suite("File fence gate") struct FileFenceGateTests {
    private let scratch: Scratch
    private var gate: FileFenceGate { FileFenceGate(path: scratch.marks) }

    init() throws { scratch = try Scratch() }

    private func code(_ body: () throws -> Void) -> LockError.Code? {
        do {
            try body()
            return nil
        } catch {
            return (error as? LockError)?.code
        }
    }

    @Test func remembersOverReopening() throws {
        let names: [LockName] = ["n", "a b%", "é", "e\u{301}", "\u{1}\n\u{202e}", "/slash"]
        for (index, name) in names.enumerated() { try gate.admit(token(UInt64(index) + 10), for: name) }
        for (index, name) in names.enumerated() {
            #expect(try gate.highest(for: name) == token(UInt64(index) + 10))
            #expect(code { try gate.admit(token(9), for: name) } == .staleToken)
        }
        #expect(scratch.names == ["marks", "marks.lock"])
    }

    @Test func formatStaysAsItIs() throws {
        try gate.admit(token(7), for: "b%")
        try gate.admit(token(12), for: "a")
        #expect(
            try String(contentsOfFile: scratch.marks, encoding: .utf8)
                == "mqlock.v1 fence\n12 a\n7 b%25\nsum 7f4e075c4c8231a5\n")
    }

    @Test func damagedFileIsAnErrorAndIsLeftAlone() throws {
        try gate.admit(token(7), for: "n")
        let good = try Data(contentsOf: URL(fileURLWithPath: scratch.marks))
        var damaged: [Data] = [Data(), Data("x".utf8), good + Data("\n".utf8), good + good]
        for index in good.indices {
            var bad = good
            bad[index] ^= 1
            damaged += [bad, good.prefix(index)]
        }
        for bad in damaged {
            try bad.write(to: URL(fileURLWithPath: scratch.marks))
            #expect(code { try gate.admit(token(99), for: "n") } == .storageFailed)
            #expect(code { _ = try gate.highest(for: "n") } == .storageFailed)
            #expect(try Data(contentsOf: URL(fileURLWithPath: scratch.marks)) == bad)
        }
        try good.write(to: URL(fileURLWithPath: scratch.marks))
        #expect(code { try gate.admit(token(6), for: "n") } == .staleToken)
    }

    private func mode(_ path: String) -> mode_t {
        var status = stat()
        return stat(path, &status) == 0 ? status.st_mode & 0o777 : 0
    }

    /// Whoever can open a lock file, if only to read it, can lock it and keep everybody out.
    @Test func nobodyElseCanOpenTheLock() throws {
        try gate.admit(token(7), for: "n")
        #expect(mode(scratch.marks + ".lock") == 0o600)
        for old in [0o644, 0o604, 0o640, 0o655] as [mode_t] {
            chmod(scratch.marks + ".lock", old)
            try gate.admit(token(7), for: "n")
            #expect(mode(scratch.marks + ".lock") == 0o600)
        }
        // Those who may write it are meant to come in.
        for shared in [0o660, 0o666] as [mode_t] {
            chmod(scratch.marks + ".lock", shared)
            try gate.admit(token(7), for: "n")
            #expect(mode(scratch.marks + ".lock") == shared)
        }
    }

    @Test func hugeFileIsNotRead() throws {
        try Data(repeating: 65, count: 3_000_000).write(to: URL(fileURLWithPath: scratch.marks))
        #expect(code { try gate.admit(token(1), for: "n") } == .storageFailed)
    }

    @Test func vanishedFileIsAnError() throws {
        try gate.admit(token(7), for: "n")
        unlink(scratch.marks)
        #expect(code { try gate.admit(token(8), for: "n") } == .storageFailed)
        #expect(!scratch.names.contains("marks"))
    }

    @Test func pathsThatAreNoFiles() throws {
        try gate.admit(token(7), for: "n")
        symlink(scratch.marks, scratch.path + "/link")
        #expect(code { try FileFenceGate(path: scratch.path + "/link").admit(token(8), for: "n") } == .storageFailed)
        #expect(code { try FileFenceGate(path: scratch.path).admit(token(8), for: "n") } == .storageFailed)
        #expect(code { try FileFenceGate(path: scratch.path + "/no/such").admit(token(8), for: "n") } == .storageFailed)
        mkfifo(scratch.path + "/pipe", 0o600)
        #expect(code { try FileFenceGate(path: scratch.path + "/pipe").admit(token(8), for: "n") } == .storageFailed)
        #expect(code { try FileFenceGate(path: "").admit(token(8), for: "n") } == .storageFailed)
        #expect(try gate.highest(for: "n") == token(7))
        // Not even a lock file is left beside what is none of ours: it might be taken for that one's own.
        try Data("root:x:0".utf8).write(to: URL(fileURLWithPath: scratch.path + "/passwd"))
        #expect(code { try FileFenceGate(path: scratch.path + "/passwd").admit(token(8), for: "n") } == .storageFailed)
        #expect(scratch.names == ["link", "marks", "marks.lock", "passwd", "pipe"])
        #expect(!FileManager.default.fileExists(atPath: scratch.path + ".lock"))
    }

    @Test func relativePath() throws {
        // The working directory belongs to the whole test process, so this only proves the way back to it.
        let up = String(repeating: "../", count: 40)
        try FileFenceGate(path: up + scratch.marks.dropFirst()).admit(token(3), for: "n")
        #expect(try gate.highest(for: "n") == token(3))
    }

    @Test(.enabled(if: geteuid() != 0, "root may write everywhere")) func readOnlyDirectory() throws {
        chmod(scratch.path, 0o500)
        defer { chmod(scratch.path, 0o700) }
        #expect(code { try gate.admit(token(7), for: "n") } == .storageFailed)
    }

    @Test func tooManyNames() throws {
        var text = "mqlock.v1 fence\n"
        for name in (0..<1024).map({ "n\($0)" }).sorted() { text += "1 \(name)\n" }
        var sum: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in text.utf8 { sum = (sum ^ UInt64(byte)) &* 0x100_0000_01b3 }
        let digits = String(sum, radix: 16)
        text += "sum \(String(repeating: "0", count: 16 - digits.count))\(digits)\n"
        try Data(text.utf8).write(to: URL(fileURLWithPath: scratch.marks))
        #expect(code { try gate.admit(token(1), for: "more") } == .limitExceeded)
        try gate.admit(token(2), for: "n0")
        #expect(try gate.highest(for: "n1023") == token(1))
    }

    @Test func leftoverOfACrashIsReplaced() throws {
        try Data("half a ta".utf8).write(to: URL(fileURLWithPath: scratch.marks + ".new"))
        try gate.admit(token(7), for: "n")
        #expect(scratch.names == ["marks", "marks.lock"])
    }

    /// Each step fails once: the write does not run, the old mark or the new one stands, and nothing stays locked.
    @Test(arguments: FenceFileStep.allCases, [true, false]) func stepFails(_ step: FenceFileStep, first: Bool) throws {
        if !first { try gate.admit(token(7), for: "n") }
        let full = FileFenceGate(path: scratch.marks) { (at) throws(LockError) in
            if at == step { throw LockError(.storageFailed, "no space left, say") }
        }
        var wrote = false
        #expect(code { try full.withAdmission(token(8), for: "n") { wrote = true } } == .storageFailed)
        #expect(!wrote)
        let isNew = [.syncDirectory, .note].contains(step)
        #expect(try gate.highest(for: "n") == (isNew ? token(8) : first ? nil : token(7)))
        #expect(!scratch.names.contains("marks.new"))
        #expect(code { try gate.admit(token(6), for: "n") } == (first && !isNew ? nil : .staleToken))
        try gate.admit(token(8), for: "n")
    }

    /// The process dies before each step: whoever comes next finds the old mark or the new one, and can go on.
    @Test(arguments: FenceFileStep.allCases, [0, 1, 20]) func processDies(_ step: FenceFileStep, lost: Int) throws {
        try gate.admit(token(7), for: "n")
        let after = scratch.path + "-after"
        defer { try? FileManager.default.removeItem(atPath: after) }
        let source = scratch.path
        let dying = FileFenceGate(path: scratch.marks) { (at) throws(LockError) in
            guard at == step else { return }
            // What lies there at this moment is what a kill leaves.
            try? FileManager.default.copyItem(atPath: source, toPath: after)
        }
        try dying.admit(token(8), for: "n")
        // The end of a file that was not synced may be missing after a power cut.
        if let new = FileHandle(forUpdatingAtPath: after + "/marks.new"), [.write, .sync].contains(step) {
            let size = try new.seekToEnd()
            try new.truncate(atOffset: size - min(size, UInt64(lost)))
        }
        let next = FileFenceGate(path: after + "/marks")
        if step == .note {
            // Already noted, so there is no such step.
            return
        }
        #expect(try next.highest(for: "n") == (step == .syncDirectory ? token(8) : token(7)))
        #expect(code { try next.admit(token(6), for: "n") } == .staleToken)
        try next.admit(token(9), for: "n")
        #expect(try next.highest(for: "n") == token(9))
    }

    /// What a rename that was never brought to the disk left is brought there before an equal token is admitted.
    @Test func equalTokenOfAnotherIsMadeDurable() throws {
        try gate.admit(token(7), for: "n")
        let steps = Locked<[FenceFileStep]>([])
        let again = FileFenceGate(path: scratch.marks) { (at) throws(LockError) in steps.withLock { $0.append(at) } }
        try again.admit(token(7), for: "n")
        #expect(steps.withLock { $0 }.contains(.syncDirectory))
        steps.withLock { $0 = [] }
        try again.admit(token(7), for: "n")
        #expect(steps.withLock { $0 } == [.openLock, .lock, .read])
    }

    @Test func deletedLockFileIsNoticedByThoseWhoWaited() async throws {
        try gate.admit(token(1), for: "n")
        let marks = scratch.marks
        let gate = gate
        let entered = AsyncStream.makeStream(of: Void.self)
        let deleter = FileFenceGate(path: marks) { (at) throws(LockError) in
            // Waiting for the lock from here on, with a descriptor of the file that is about to go.
            if at == .lock { entered.continuation.yield() }
        }
        var iterator = entered.stream.makeAsyncIterator()
        try await confirmation { done in
            let waiting = Locked<Task<Void, any Error>?>(nil)
            try gate.withAdmission(token(2), for: "n") {
                let task = Task.detached { try deleter.admit(token(3), for: "n") }
                waiting.withLock { $0 = task }
                usleep(50_000)
                unlink(marks + ".lock")
            }
            _ = await iterator.next()
            try await waiting.withLock { $0 }?.value
            done()
        }
        #expect(try gate.highest(for: "n") == token(3))
        #expect(scratch.names.contains("marks.lock"))
    }
}
