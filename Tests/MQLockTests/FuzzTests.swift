import Foundation
import MQLockTesting
import Testing

@testable import MQLock

/// What other programs, files and people give this module to read. Nothing traps; what is read and written again is read as
/// the same; what was valid stays so.
@Suite("Whatever comes from outside") struct FuzzTests {
    static let question = String(repeating: "0a", count: 16)
    static let contender = """
        age 60000
        connection mqlock%20
        fence 42
        host h
        mutex sac
        owner web-1/4711
        place 1
        process 4711
        role holder
        session \(question)
        since 1767225600000

        """

    @Test func controlMessages() async {
        let head = "mqlock.v1 "
        let examples =
            ["who", "hello", "list"].map { "\(head)\($0) \(Self.question)\n" } + [
                "\(head)watch \(Self.question)\nseconds 60\n",
                "\(head)yield \(Self.question)\nfence 9223372036854775807\n",
                "\(head)list \(Self.question)\nafter a%0Ab\n",
                "\(head)refused \(Self.question)\nsession \(Self.question)\n",
            ]
            + ["here", "yielding", "changed", "listed"].map { word in
                "\(head)\(word) \(Self.question)\n\(Self.contender.replacing("%20", with: ""))change lost\nname n\nreason r\n"
            }
        // All that is told to one observer, by whomever.
        let observation = Locked(Observation())
        let fault = await Fuzzing.firstFault(
            in: "control messages", examples: examples,
            words: ["waiter", "holder", "granted", "released", "waiting", "left", "role ", "fence ", "place ", "\nx y"]
        ) { bytes in
            guard let text = ControlText(payload: bytes) else { return .refused }
            // Longer values than we write are read, and then cut.
            let isWhole = text.fields.values.allSatisfy { $0.utf8.count <= ControlText.maximumValue / 3 }
            guard let again = ControlText(payload: text.payload) else { return .wrong("not read again") }
            guard again == text || !isWhole, ControlText(payload: again.payload) == again else {
                return .wrong("read again as another")
            }
            if let request = ControlRequest(text) {
                return ControlRequest(request.text(text.question)) == request ? .read : .wrong("another request")
            }
            guard let answer = ControlAnswer(text) else { return .refused }
            let heard = observation.withLock { observation -> Int in
                switch answer {
                case .here(let contender), .yielding(let contender), .listed(_, let contender):
                    return observation.answered(contender).count + observation.settle().count
                case .changed(let change): return observation.announced(change).count
                case .refused: return observation.endRound().count
                }
            }
            guard heard < 20_000 else { return .wrong("\(heard) changes at once") }
            return ControlAnswer(answer.text(text.question)) == answer || !isWhole ? .read : .wrong("another answer")
        }
        #expect(fault == nil)
    }

    @Test func namesAndNumbers() async {
        let fault = await Fuzzing.firstFault(
            in: "names, tokens and ids",
            examples: ["customer/42", "9223372036854775807", Self.question, "a%0Ab", "caf\u{E9}"]
        ) { bytes in
            let text = String(decoding: bytes, as: UTF8.self)
            if let token = FencingToken(text), token.description != text { return .wrong("a token's other spelling") }
            if let id = RandomID(text), id.description != text { return .wrong("an id's other spelling") }
            for coding in [PercentCoding.line, .word, .uri] {
                guard coding.decode(coding.encode(text), .strict) == text else { return .wrong("not decoded again") }
                if let strict = coding.decode(text, .strict), coding.encode(strict) != text {
                    return .wrong("two encodings of one text")
                }
                _ = coding.bytes(of: text, .lenient)
            }
            let shown = text.escapedForDisplay
            guard !shown.unicodeScalars.contains(where: \.needsEscaping), shown.escapedForDisplay == shown else {
                return .wrong("shown unescaped")
            }
            do throws(LockError) {
                let name = try LockName(text)
                return name.string.utf8.elementsEqual(text.utf8)
                    && (1...LockName.maximumLength).contains(name.utf8.count)
                    ? .read : .wrong("another name")
            } catch {
                return (1...LockName.maximumLength).contains(text.utf8.count) ? .wrong("no name: \(error)") : .refused
            }
        }
        #expect(fault == nil)
    }

    @Test func stampsOfMessages() async {
        let gate = StampedMessageGate(MemoryFenceGate())
        let fault = await Fuzzing.firstFault(
            in: "stamps",
            examples: [
                "mqlock-name=n\u{1}mqlock-fence=42\u{1}mqlock-owner=web-1",
                "x=y\u{1}mqlock-owner=\u{1}mqlock-fence=0\u{1}mqlock-name=caf\u{E9}",
            ], words: ["\u{1}", "mqlock-name", "mqlock-fence=", "\u{1}mqlock-owner=x"]
        ) { bytes in
            let headers = bytes.split(separator: 1).map { line -> (String, [UInt8]?) in
                let parts = line.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
                return (String(decoding: parts[0], as: UTF8.self), parts.count == 2 ? Array(parts[1]) : nil)
            }
            // A token far ahead is refused there, as one that is behind is.
            guard (try? gate.withAdmission(headers) { _ in }) != nil else { return .wrong("the gate fails") }
            guard case .stamp(let stamp) = FenceStamp.read(headers) else { return .refused }
            let again = FenceStamp.read(stamp.headers.map { ($0.0, Array($0.1.utf8)) })
            return again == .stamp(stamp)
                && FenceStamp(name: stamp.name, token: stamp.token, owner: stamp.owner) == stamp
                ? .read : .wrong("another stamp")
        }
        #expect(fault == nil)
    }

    static let tables: [[UInt8]] = {
        var table = FenceTable()
        let small = table.encoded
        _ = table.set(FencingToken(rawValue: 42)!, for: "orders/7")
        _ = table.set(FencingToken(rawValue: FencingToken.maximum)!, for: "a b%\n")
        return [table.encoded, small]
    }()

    /// The same with a sum that fits: what is damaged otherwise is read the farthest so.
    private static func summed(_ bytes: [UInt8]) -> [UInt8] {
        let body = bytes.suffix(21).starts(with: "sum ".utf8) ? bytes.dropLast(21) : bytes[...]
        return Array(body) + Array("sum \(fnv1a(body).hexadecimal(16))\n".utf8)
    }

    @Test func tablesOfFenceGates() async {
        let fault = await Fuzzing.firstFault(in: "fence tables", examples: Self.tables) { bytes in
            var outcome = Fuzzing.Outcome.refused
            for bytes in [bytes, Self.summed(bytes)] {
                guard let table = FenceTable(bytes) else { continue }
                guard table.encoded == bytes else { return .wrong("written otherwise") }
                outcome = .read
            }
            return outcome
        }
        #expect(fault == nil)
    }

    /// The files themselves: what cannot be read is an error, and stays as it is.
    @Test func filesOfFenceGates() async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("mqlock-fuzz-\(UUID())").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let path = "\(folder)/gate"
        let gate = FileFenceGate(path: path)
        _ = try gate.highest(for: "n")
        let fault = await Fuzzing.firstFault(in: "fence files", examples: Self.tables, count: Fuzzing.count / 20) {
            bytes in
            let bytes = Self.summed(bytes)
            guard let file = fopen(path, "w") else { return .wrong("no file") }
            fwrite(bytes, 1, bytes.count, file)
            fclose(file)
            do throws(LockError) {
                _ = try gate.highest(for: "orders/7")
                return .read
            } catch {
                guard error.code == .storageFailed else { return .wrong("\(error)") }
                return FileManager.default.contents(atPath: path).map(Array.init) == bytes
                    ? .refused : .wrong("changed")
            }
        }
        #expect(fault == nil)
    }
}
