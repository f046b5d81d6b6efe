"""The texts of the course in Korean."""

from course.texts import Labels, Text

LABELS = Labels(
    step="{count}단계 중 {number}단계",
    question="질문",
    code="핵심 코드",
    lesson="수업에서는",
    wrong="바로잡을 점",
    seeds="시드에 따른 차이",
    answer="답",
    next="다음",
    last="마지막 단계입니다. 다른 예제들이 이 내용을 이어 갑니다. `python examples/digits.py`부터 시작해 보세요.",
    usage="명령 뒤에 단계 이름을 붙이면 그 단계만, `{all}`를 쓰면 전체가 실행됩니다.",
    columns=("단계", "제목", "python examples/lesson.py"),
)

TEXTS = {
    "perceptron": Text(
        title="퍼셉트론을 그림으로",
        question="여러 입력이 어떻게 하나의 출력이 될까요?",
        lesson="step(w·x + b)를 뉴런에 비유했습니다. 가중치를 곱한 입력을 더해 임계값과 비교합니다.",
        wrong="비유는 여기까지입니다. 뉴런은 시간에 따라 발화하고 임계값도 변하지만, 퍼셉트론은 하나의 식입니다.",
    ),
    "drawn_gates": Text(
        title="AND, OR, XOR 그려 보기",
        question="직선 하나로 나눌 수 있는 게이트는 무엇일까요?",
        lesson="AND와 OR의 0과 1 사이에 직선을 하나씩 그었습니다.",
        wrong="어떤 직선으로도 나눌 수 없는 XOR는 함께 그리지 않았습니다.",
        seeds="무작위 직선 100,000개 중 1.4%가 AND를, 4.3%가 OR를 나누고, XOR를 나누는 직선은 없습니다.",
    ),
    "plane": Text(
        title="XOR 위에 놓인 선형 유닛의 평면",
        question="평면은 왜 XOR를 따라갈 수 없을까요?",
        lesson="결과만 보여 주었습니다. 가설값은 네 번 모두 0.5입니다.",
        wrong="이유가 빠졌습니다. 가중치가 무엇이든, 마주 보는 꼭짓점끼리 더한 두 높이의 합은 서로 같습니다.",
        seeds="무작위 평면 1,000개 중 꼭짓점 4개의 부호가 모두 맞는 것은 없습니다.",
    ),
    "xor_perceptron": Text(
        title="유닛 하나로 XOR 학습하기",
        question="더 오래 학습하면 나아질까요?",
        lesson="Linear(2,1)과 시그모이드로 10,001스텝을 학습하면 비용은 0.6931471824645996, 정확도는 0.5입니다.",
        wrong="학습이 실패했다고 해서 불가능이 증명되지는 않습니다. 증명은 두 가지입니다. 하나는 서로 모순되는 네 "
        "부등식이고, 다른 하나는 최솟값이 ln 2인 볼록한 비용 함수입니다.",
        seeds="어떤 시드든 ln 2에서 끝납니다. 비용의 최소점이 하나뿐이기 때문입니다.",
    ),
    "devices": Text(
        title="장치(device)",
        question="`.to(device)`는 왜 필요할까요?",
        lesson="CPU와 GPU의 텐서는 함께 계산할 수 없으므로 모든 텐서와 모듈을 한 장치로 옮겼습니다.",
        wrong="`x.to(device)`는 복사본을 돌려주지만 `module.to(device)`는 모듈 자체를 옮긴다는 점을 말하지 않았습니다.",
    ),
    "gates": Text(
        title="XOR에는 직선 두 개가 필요하다",
        question="직선 하나로는 안 되는 일을 직선 두 개는 어떻게 해낼까요?",
        lesson="층을 하나 더 쌓아 두 직선을 결합했습니다.",
        wrong="직선을 학습으로만 찾았습니다. OR와 NAND를 AND로 묶으면 손으로도 XOR를 만들 수 있습니다.",
        seeds="로젠블랫 규칙은 0에서 시작하므로 시드가 필요 없습니다. 로지스틱 유닛은 비용이 볼록해서 어디서 시작해도 "
        "게이트를 학습해 냅니다.",
    ),
    "chain_rule": Text(
        title="그래프 위의 연쇄 법칙",
        question="미분은 그래프를 따라 어떻게 전달될까요?",
        lesson="f = wx + b, w = -2, x = 5, b = 3에서 df/dw = 5, df/dx = -2, df/db = 1입니다.",
    ),
    "exp": Text(
        title="왜 math.exp가 아니라 torch.exp일까",
        question="둘 다 지수 함수를 계산하는데, 어느 것을 쓰는지가 왜 중요할까요?",
        lesson="시그모이드를 `torch.exp`로 썼지만 이유는 말하지 않았습니다.",
        wrong="`math.exp`를 쓰면 값은 맞지만 미분은 틀립니다. z = 1에서 5.4366이 아니라 2.7183이 나오는데, 오류는 나지 "
        "않고 torch가 경고를 한 번 띄울 뿐입니다. 배치에 쓰면 오류가 납니다.",
    ),
    "transposes": Text(
        title="왜 전치(transpose)할까",
        question="역전파 식의 전치는 어디에서 나온 것일까요?",
        lesson="d_w2 = a1ᵀ d_l2, d_a1 = d_l2 w2ᵀ를 모양(shape) 없이 썼습니다.",
        wrong="2-2-1 신경망에서는 w1이 정사각행렬이라 전치를 빠뜨려도 드러나지 않을 수 있습니다. 2-3-1 신경망에서는 "
        "드러납니다.",
    ),
    "backprop_by_hand": Text(
        title="손으로 쓰는 역전파",
        question="수업의 역전파는 정말 그 비용의 기울기를 계산할까요?",
        lesson="텐서만으로 만든 2-2-1 신경망, 학습률 0.2, 10,001스텝. 스텝 0부터 nan을 출력합니다.",
        wrong="가중치를 초기화하지 않았습니다. 가중치에는 합을, 편향에는 평균을 써서 가중치가 4배 멀리 움직입니다. "
        "약분될 분모에 1e-7을 더했습니다. 반올림된 p로 log(p)를 계산했습니다.",
        seeds="nan은 시드가 아니라 메모리에 남아 있던 값에 달려 있습니다.",
    ),
    "write_backward": Text(
        title="연습: 역전파 직접 쓰기",
        question="보지 않고 기울기 4개를 쓸 수 있을까요?",
        lesson="d_p와 d_l2에서 d_w1과 d_b1까지 한 줄씩 거슬러 유도했습니다.",
    ),
    "find_defect": Text(
        title="연습: 숨은 결함 찾기",
        question="기울기 중 일부만 다르다면 틀린 줄은 어디일까요?",
        lesson="실행하니 nan이 출력되었고, 다른 것과 비교해 보지는 않았습니다.",
        wrong="값이 그럴듯하다는 것은 증거가 되지 못합니다. grad와 하나씩 비교하면 결함의 위치가 드러납니다.",
    ),
    "sequential": Text(
        title="같은 신경망을 nn.Sequential로",
        question="nn.Sequential과 순수 함수는 똑같이 학습할까요?",
        lesson="Linear(2,2), Sigmoid, Linear(2,1), Sigmoid, BCELoss, 학습률 1의 SGD, 10,001스텝.",
        wrong="BCELoss는 반올림된 확률의 로그를 계산합니다. 두 학습의 차이는 이런 반올림에서만 생깁니다.",
    ),
    "xor_mlp": Text(
        title="XOR 풀기, 얼마나 자주 성공할까",
        question="2-2-1 신경망은 항상 XOR를 풀까요?",
        lesson="가설값 0.00106364, 0.99889404, 0.99889404, 0.00165861, 정확도 1.0.",
        wrong="시드 하나에 대한 이야기일 뿐입니다.",
        seeds="신경망 1,024개 중 86%가 10,001스텝 안에 XOR를 풉니다. 14%는 두 점만 맞고 나머지 두 점은 0.5인 "
        "ln(2)/2에 머뭅니다. 정체 구간(plateau)은 157스텝에서 5,145스텝 사이에 벗어나며, 절반은 488스텝 안에 "
        "벗어납니다.",
    ),
    "four_layers": Text(
        title="수업에 적힌 그대로의 네 층 코드",
        question="적힌 코드는 왜 곧바로 멈출까요?",
        lesson="2-10-10-10-1, 층 사이의 시그모이드, BCELoss, 학습률 1.",
        wrong="마지막 시그모이드가 빠졌습니다. BCELoss가 확률이 아닌 수를 받습니다.",
        seeds="시드 100개 중 59개는 스텝 0에서, 38개는 스텝 1에서, 3개는 스텝 2에서 멈춥니다.",
    ),
    "depth": Text(
        title="두 층 대 네 층",
        question="깊은 신경망은 왜 더 늦게 학습될까요?",
        lesson="두 층: 스텝 1,600에서 0.69270, 스텝 2,500에서 0.01217. 네 층: 스텝 2,200에서 0.69307464.",
        wrong="비용만 보여 주고 기울기는 보여 주지 않았습니다. 이유는 기울기에 있습니다. 시그모이드를 지날 때마다 "
        "작아집니다.",
        seeds="얕은 신경망 1,024개는 모두 157스텝에서 5,145스텝 사이에 정체 구간을 벗어납니다. 깊은 신경망 64개 "
        "중에서는 91%가 2,939스텝에서 7,928스텝 사이에 벗어납니다.",
    ),
}
