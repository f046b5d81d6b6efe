"""The texts of the course in English."""

from course.texts import Labels, Text

LABELS = Labels(
    step="Step {number} of {count}",
    question="Question",
    code="The lines that matter",
    lesson="In the lesson",
    wrong="Defects",
    seeds="Over seeds",
    answer="Answer",
    next="Next",
    last="This was the last step. The other examples build on it: start with `python examples/digits.py`.",
    usage="For one step, add its word to the command; `{all}` runs all of them.",
    columns=("step", "title", "python examples/lesson.py"),
)

TEXTS = {
    "perceptron": Text(
        title="The perceptron as a drawn unit",
        question="How do many inputs become one output?",
        lesson="step(w·x + b), likened to a neuron: weighted inputs, a sum, a threshold.",
        wrong="The likeness ends there: a neuron fires in time, and its threshold moves. The unit is a formula.",
    ),
    "drawn_gates": Text(
        title="AND, OR and XOR drawn",
        question="Which gates can one line separate?",
        lesson="A line between the 0s and the 1s of AND, and one of OR.",
        wrong="The picture of XOR, where no line works, was not drawn next to them.",
        seeds="Of 100,000 random lines 1.4% separate AND, 4.3% separate OR, and none separates XOR.",
    ),
    "plane": Text(
        title="The plane of a linear unit on XOR",
        question="Why can a plane not follow XOR?",
        lesson="Only the result: the hypothesis is 0.5 four times.",
        wrong="The reason was missing: the heights at opposite corners have the same sum, whatever the weights are.",
        seeds="Of 1,000 random planes none has the right sign at all 4 corners.",
    ),
    "xor_perceptron": Text(
        title="XOR with one unit",
        question="Does more training help?",
        lesson="Linear(2,1) and a sigmoid: cost 0.6931471824645996 after 10,001 steps, accuracy 0.5.",
        wrong="That training fails does not prove that it must. Two proofs do: four inequalities that contradict each "
        "other, and a convex cost whose minimum is ln 2.",
        seeds="Every seed ends at ln 2: the cost has one minimum only.",
    ),
    "devices": Text(
        title="Devices",
        question="What is `.to(device)` for?",
        lesson="Every tensor and module is moved to one device, because tensors of CPU and GPU do not mix.",
        wrong="It was not said that `x.to(device)` returns a copy, while `module.to(device)` moves the module itself.",
    ),
    "gates": Text(
        title="XOR needs two lines",
        question="What do two lines do that one cannot?",
        lesson="A second layer: two lines, combined.",
        wrong="The lines were found by training only. OR, NAND and an AND of both solve XOR by hand.",
        seeds="Rosenblatt's rule needs no seed: it starts at 0. The logistic units solve their gates from every start, "
        "because their cost is convex.",
    ),
    "chain_rule": Text(
        title="The chain rule on a graph",
        question="How do derivatives travel through a graph?",
        lesson="f = wx + b at w = -2, x = 5, b = 3: df/dw = 5, df/dx = -2, df/db = 1.",
    ),
    "exp": Text(
        title="Why torch.exp and not math.exp",
        question="Both compute the exponential: why does it matter which one is used?",
        lesson="The sigmoid was written with `torch.exp`; why was not said.",
        wrong="With `math.exp` the value is right and the derivative is wrong, without an error: 2.7183 instead of "
        "5.4366 at z = 1; torch only warns, once. On a batch it fails.",
    ),
    "transposes": Text(
        title="Why the transposes",
        question="Where do the transposes of the backward pass come from?",
        lesson="d_w2 = a1ᵀ d_l2 and d_a1 = d_l2 w2ᵀ, without their shapes.",
        wrong="In the 2-2-1 net w1 is square, so that a forgotten transpose can pass unnoticed. A 2-3-1 net shows it.",
    ),
    "backprop_by_hand": Text(
        title="Backpropagation by hand",
        question="Is the backward pass of the lesson the gradient of its cost?",
        lesson="A 2-2-1 net on raw tensors, learning rate 0.2, 10,001 steps; it prints nan from step 0 on.",
        wrong="Uninitialised weights; sums for weights but means for biases, so that weights move 4 times as far; 1e-7 "
        "in a denominator that cancels; log(p) of a rounded p.",
        seeds="The nan depends on the memory that is found, not on a seed.",
    ),
    "write_backward": Text(
        title="Exercise: write the backward pass",
        question="Can you write the 4 gradients without looking?",
        lesson="The derivation line by line, from d_p and d_l2 back to d_w1 and d_b1.",
    ),
    "find_defect": Text(
        title="Exercise: find the planted defect",
        question="Which line is wrong, if some gradients differ and others do not?",
        lesson="The pass was run and printed nan; it was not compared with anything.",
        wrong="A value that looks right proves little. Compared with grad, each leaf says where the defect is.",
    ),
    "sequential": Text(
        title="The same net as nn.Sequential",
        question="Do nn.Sequential and a pure function learn the same?",
        lesson="Linear(2,2), Sigmoid, Linear(2,1), Sigmoid, BCELoss, SGD with learning rate 1, 10,001 steps.",
        wrong="BCELoss takes the logarithm of a rounded probability: the runs differ by such roundings only.",
    ),
    "xor_mlp": Text(
        title="XOR solved, and how often",
        question="Does the 2-2-1 net always solve XOR?",
        lesson="Hypothesis 0.00106364, 0.99889404, 0.99889404, 0.00165861; accuracy 1.0.",
        wrong="That is a statement about one seed.",
        seeds="Of 1,024 nets 86% solve XOR in 10,001 steps; 14% remain at ln(2)/2, with two points right and two at "
        "0.5. They leave the plateau after 157 to 5,145 steps, half of them within 488.",
    ),
    "four_layers": Text(
        title="The four-layer code as printed",
        question="Why does the printed code stop at once?",
        lesson="2-10-10-10-1, sigmoids between the layers, BCELoss, learning rate 1.",
        wrong="The last sigmoid is missing: BCELoss gets numbers that are not probabilities.",
        seeds="Of 100 seeds 59 stop at step 0, 38 at step 1 and 3 at step 2.",
    ),
    "depth": Text(
        title="Two layers against four",
        question="Why does the deeper net learn later?",
        lesson="Two layers: 0.69270 at step 1,600, 0.01217 at step 2,500. Four: 0.69307464 at step 2,200.",
        wrong="The costs were shown without the gradients, which say why: each sigmoid makes them smaller.",
        seeds="All of 1,024 shallow nets leave the plateau, after 157 to 5,145 steps. Of 64 deep ones 91% do, after "
        "2,939 to 7,928 steps.",
    ),
}
