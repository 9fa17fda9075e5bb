import Foundation
import MQLock
import MQLockTesting
import Testing

@Suite("Recipes of the article FencingRecipes") struct RecipeTests {
    @Test(arguments: ["HTTPRecipe", "ObjectStoreRecipe"]) func articleShowsTheCodeThatIsTested(file: String) throws {
        let source = try String(
            contentsOf: URL(fileURLWithPath: #filePath).deletingLastPathComponent()
                .appendingPathComponent("\(file).swift"), encoding: .utf8)
        let code = source.replacing("import MQLock\n\n", with: "")
        let article = try String(
            contentsOf: SQLRecipe.resources.appendingPathComponent("FencingRecipes.md"), encoding: .utf8)
        #expect(article.contains("```swift\n\(code)```\n"))
    }

    @Test func statusesOfHTTP() throws {
        let gate = MemoryFenceGate()
        var stored: [String] = []
        func put(_ body: String, _ fence: String?, fails: Bool = false) -> Int {
            MQLockTests.put(body, headers: fence.map { ["mqlock-fence": $0] } ?? [:], lock: "report", gate: gate) {
                if fails { throw TestFailure("disk") }
                stored.append($0)
            }
        }
        #expect(put("a", "5") == 204)
        #expect(put("b", "6", fails: true) == 503)
        #expect(put("c", "5") == 412)
        #expect(put("d", "6") == 204)
        #expect(put("e", nil) == 428)
        #expect(put("f", "six") == 400)
        #expect(stored == ["a", "d"])
    }

    /// Every pause between looking and writing is used by others to write, and theirs by others again.
    @Test func objectsNeverGoBack() throws {
        let seed = UInt64.random(in: 0 ... .max)
        #expect(try backwardSteps(seed, keepsPromises: true) == 0, "seed \(seed)")
        #expect(
            try backwardSteps(seed, keepsPromises: false) > 0, "an unconditional PUT would not be seen, seed \(seed)")
    }

    private func backwardSteps(_ seed: UInt64, keepsPromises: Bool) throws -> Int {
        let world = ObjectWorld(seed, keepsPromises: keepsPromises)
        for _ in 0..<500 { try world.someWrite() }
        // Who was told that it has written has, and who was told to be stale was.
        #expect(world.untrue == 0)
        #expect(world.history.count > 100)
        return zip(world.history, world.history.dropFirst()).count { $0 > $1 }
    }
}

/// An object store whose clients are interrupted by one another.
private final class ObjectWorld: ObjectStore {
    private var object: (tag: String, fence: FencingToken)?
    private(set) var history: [FencingToken] = []
    private(set) var untrue = 0
    private var generator: SeededGenerator
    private var depth = 0
    private var granted: UInt64 = 100
    private let keepsPromises: Bool

    init(_ seed: UInt64, keepsPromises: Bool) {
        generator = SeededGenerator(seed)
        self.keepsPromises = keepsPromises
    }

    /// By the holder, or by one of old.
    func someWrite() throws {
        granted += 1
        let late = Bool.random(using: &generator) ? UInt64.random(in: 1...20, using: &generator) : 0
        let token = FencingToken(rawValue: granted - late)!
        let count = history.count
        if try write("body", to: "key", under: token, in: self) {
            if !history[count...].contains(token) { untrue += 1 }
        } else if !history.contains(where: { $0 > token }) {
            untrue += 1
        }
    }

    func head(_ key: String) throws -> (tag: String, fence: FencingToken)? {
        defer { try? interrupt() }
        return object
    }

    func put(_ key: String, _ body: String, fence: FencingToken, ifMatch tag: String?) throws -> Bool {
        if keepsPromises, tag != object?.tag { return false }
        history.append(fence)
        object = ("tag \(history.count)", fence)
        return true
    }

    private func interrupt() throws {
        guard depth < 3, Int.random(in: 0..<3, using: &generator) == 0 else { return }
        depth += 1
        defer { depth -= 1 }
        try someWrite()
    }
}
